/** Data that the build has written beside the scripts. */

/** Return an explorable's data. */
export async function load<Data>(name: string): Promise<Data> {
  const answer = await fetch(new URL(`./${name}.json`, import.meta.url));
  if (!answer.ok) throw new Error(`${answer.url}: ${answer.status}`);
  return (await answer.json()) as Data;
}
