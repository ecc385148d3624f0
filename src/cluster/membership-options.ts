// The rules that membership options keep, checked once.
import { invalidOption } from '../core/index.ts';
import type { MembershipOptions } from './membership-types.ts';

/** Raises `invalid_option` for the first that breaks its rule. */
export function checkOptions(options: MembershipOptions): void {
  const mayBeZero = new Set(['indirectProbes', 'suspicionConfirmations', 'maxAwareness']);
  for (const [option, value] of Object.entries(options)) {
    const ok = mayBeZero.has(option) ? value >= 0 : value > 0;
    if (!ok) throw invalidOption(option, mayBeZero.has(option) ? 'at least 0' : 'positive', value);
  }
  const { probeIntervalMs, probeTimeoutMs, suspicionMaxMultiplier } = options;
  if (probeTimeoutMs > probeIntervalMs) {
    throw invalidOption(
      'probeTimeoutMs',
      `at most probeIntervalMs ${probeIntervalMs}`,
      probeTimeoutMs,
    );
  }
  if (suspicionMaxMultiplier < 1) {
    throw invalidOption('suspicionMaxMultiplier', 'at least 1', suspicionMaxMultiplier);
  }
}
