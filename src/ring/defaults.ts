// Every literal and limit of the ring.

/** Virtual nodes per node: more balance the shares better and take memory. @default 150 */
export const REPLICAS = 150;

/** How far above the mean in-flight a node may go before requests walk on. @default 1.25 */
export const LOAD_FACTOR = 1.25;

/**
 * The index in front of the ring has 2^16 buckets: at 15,000 virtual nodes most hold none or one.
 */
export const INDEX_BITS = 16;
