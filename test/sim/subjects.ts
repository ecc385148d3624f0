// The simulations by the names that `--of` takes.
import { SHARDING } from '../sharding/sim/subject.ts';
import { FLEET } from './subject.ts';
import type { Subject } from './history.ts';

export const SUBJECTS = { fleet: FLEET, sharding: SHARDING } satisfies Record<string, Subject>;

export type SubjectName = keyof typeof SUBJECTS;

export const SUBJECT_NAMES = Object.keys(SUBJECTS) as SubjectName[];
