/** Data that the build computes by data.py. */
declare module "data/*.json" {
  const data: any;
  export default data;
}
