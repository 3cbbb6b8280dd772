/** Numbers as the site sets them: a real minus sign, powers of ten, and a word for overflow. */

const RAISED = "⁰¹²³⁴⁵⁶⁷⁸⁹";

/** Return a power of ten: `10⁻³`. */
export function powerOfTen(exponent: number): string {
  return `10${raised(exponent)}`;
}

/** Return an integer as an exponent. */
export function raised(integer: number): string {
  return String(integer).replace(/\d/g, (digit) => RAISED[Number(digit)]!).replace("-", "⁻");
}

/** Return a number to so many significant digits; what a double cannot hold is "beyond 10³⁰⁰". */
export function typeset(value: number, digits = 3): string {
  const size = Math.abs(value);
  if (!(size <= 1e300)) return value < 0 ? "below −10³⁰⁰" : "beyond 10³⁰⁰";
  if (size === 0) return "0";
  const [mantissa, exponent] = value.toExponential(digits - 1).split("e") as [string, string];
  const power = Number(exponent);
  if (power >= 4 || power < -3) return minus(`${mantissa}·${powerOfTen(power)}`);
  return minus(value.toFixed(Math.max(0, digits - 1 - power)));
}

/** Return a number with so many decimals. */
export function decimals(value: number, count = 2): string {
  return Math.abs(value) <= 1e6 ? minus((value + 0).toFixed(count)) : typeset(value, count + 1);
}

/** Return a number with so many decimals, and one more if it needs it. */
export function finest(value: number, count = 2): string {
  return decimals(value, Math.abs(value * 10 ** count - Math.round(value * 10 ** count)) > 1e-6 ? count + 1 : count);
}

function minus(text: string): string {
  const unsigned = text.replace("-", "");
  return text.startsWith("-") && /[1-9]/.test(unsigned.split("·")[0]!) ? `−${unsigned}` : unsigned;
}
