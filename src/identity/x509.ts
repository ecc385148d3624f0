// Loads @peculiar/x509. Its injection container asks for `Reflect.getMetadata` at the moment it
// loads and never again, so a stand-in that knows no metadata is enough, and is taken away at once:
// a program that uses a real `reflect-metadata` beside Flotilla keeps an unspoilt `Reflect`.
import { createRequire } from 'node:module';

function load(): typeof import('@peculiar/x509') {
  const require = createRequire(import.meta.url);
  if ('getMetadata' in Reflect) return require('@peculiar/x509');
  const none = { value: () => undefined, configurable: true };
  Object.defineProperties(Reflect, { getMetadata: none, getOwnMetadata: none });
  try {
    return require('@peculiar/x509');
  } finally {
    Reflect.deleteProperty(Reflect, 'getMetadata');
    Reflect.deleteProperty(Reflect, 'getOwnMetadata');
  }
}

export const x509 = load();
