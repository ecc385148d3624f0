export { Admission } from './admission.ts';
export { AdmissionQueue } from './admission-queue.ts';
export {
  apiKeyOf,
  createApiKey,
  decodeApiKeyRecord,
  encodeApiKeyRecord,
} from './api-key.ts';
export { allowsModel, ApiKeyBook, checkModel } from './api-key-book.ts';
export { ClientAddress, clientOfAddress } from './client-address.ts';
export { KEY_LIMITS } from './defaults.ts';
export { ADMISSION_ERRORS, ADMISSION_STATUS } from './errors.ts';
export { IpNetworks, parseIp } from './ip-address.ts';
export { RateLimiter } from './rate-limiter.ts';
export type { AdmissionOptions, AdmissionRequest, ClientLimits } from './admission.ts';
export type { QueueOptions, QueueRequest } from './admission-queue.ts';
export type { ApiKey, ApiKeyRecord, ApiKeySpec } from './api-key.ts';
export type { ClientAddressOptions } from './client-address.ts';
export type { AdmissionCode } from './errors.ts';
export type { RateGrant, RateLimiterOptions, RateLimits, RateRequest } from './rate-limiter.ts';
export type { Ticket, Waiter } from './ticket.ts';
