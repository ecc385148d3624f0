// Checks the limits and times of a server or a client, once.
import { invalidOption } from '../core/index.ts';

type Limits = Readonly<Record<string, number>>;

/** `defaults` with the numbers that `given` overrides, each a whole number above nought. */
export function limitsFrom<L extends Limits>(defaults: L, given: object): Record<keyof L, number> {
  const limits: Record<string, number> = { ...defaults };
  for (const [name, value] of Object.entries(given)) {
    if (!(name in defaults) || value === undefined) continue;
    if (!Number.isSafeInteger(value) || value < 1) {
      throw invalidOption(name, 'a whole number above 0', value);
    }
    limits[name] = value as number;
  }
  return limits as Record<keyof L, number>;
}
