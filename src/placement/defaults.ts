// Every limit and time of devices over the fleet.

export const PLACEMENT_DEFAULTS = {
  /** How often the members are asked for their devices' figures while somebody places by them. */
  pollMs: 250,
  /** Nobody has for so long: it ends. */
  unusedAfterMs: 5_000,
  /** A member that does not answer within this is asked anew. */
  pollTimeoutMs: 1_000,
  /** A node whose devices are opening is waited for this long before it says what there is. */
  startPatienceMs: 200,
  /** A command that still runs then does not keep the node from stopping. */
  stopTimeoutMs: 5_000,
  /** How long placing waits for devices that are being opened. */
  placeTimeoutMs: 10_000,
  /** Of listing all devices, which starts none. */
  listTimeoutMs: 2_000,
  /** Copies to and from other nodes travel in pieces of this size. */
  pieceBytes: 4 * 2 ** 20,
  /** Of the records of regions in the store. */
  regionPrefix: 'devices/regions/',
  /** After a store that could not be read. */
  retryMs: 500,
  /** An id of a region that was not asked for this long leaves memory; it holds nothing. */
  forgetAfterMs: 60_000,
} as const;
