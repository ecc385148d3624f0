// What another node says of its engines, checked: names that the router takes, bounded lists,
// targets that are addresses.
import { z } from 'zod';
import { FlotillaError } from '../../core/index.ts';
import { ENGINE_LINK } from '../defaults.ts';
import type { EngineDescription } from './local-engines.ts';

const { maxEngines, maxModels, maxNameCharacters, maxProblemCharacters } = ENGINE_LINK;
/** RFC 9110, sections 5.1 and 5.5. */
const FIELD_NAME = /^[a-z0-9!#$%&'*+.^_`|~-]+$/;
const FIELD_VALUE = /^[\x21-\x7e\x80-\xff]([\t\x20-\x7e\x80-\xff]*[\x21-\x7e\x80-\xff])?$/;
const text = z.string().min(1).max(maxNameCharacters);

const schema = z
  .array(
    z.object({
      name: z.string().regex(/^[a-z0-9]([a-z0-9.-]{0,61}[a-z0-9])?$/),
      isUp: z.boolean(),
      capacity: z.number().positive(),
      models: z.record(text, text).refine((models) => Object.keys(models).length <= maxModels),
      target: z
        .object({
          origin: z
            .string()
            .regex(/^https?:\/\/[^/?#@\\\s]+$/)
            .refine((origin) => URL.canParse(origin)),
          apiPath: z.string().regex(/^(\/[\w.~-]+)*$/),
          headers: z.record(z.string().regex(FIELD_NAME), z.string().regex(FIELD_VALUE)),
        })
        .optional(),
      problem: z.string().max(maxProblemCharacters).optional(),
    }),
  )
  .max(maxEngines);

/** Errors: `request_invalid`. */
export function readDescriptions(body: unknown, node: string): EngineDescription[] {
  const { success, data, error } = schema.safeParse(body);
  if (success) return data as EngineDescription[];
  const [issue] = error.issues;
  const where = issue?.path.join('.') ?? '';
  throw new FlotillaError('request_invalid', `${node} lists engines that are malformed: ${where}`);
}
