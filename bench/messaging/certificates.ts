// A throw-away authority: what two processes need to speak TLS with each other.
import { mkdtempSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { systemClock } from '../../src/core/index.ts';
import { ClusterAuthority, createKeyAndCsr } from '../../src/identity/index.ts';
import type { Credentials } from '../../src/identity/index.ts';

/** Names that the certificates are issued to. */
export const CLIENT_NAME = 'client';
export const SERVER_NAME = 'server';

export interface PairCredentials {
  readonly client: Credentials;
  readonly server: Credentials;
}

export async function createCredentials(): Promise<PairCredentials> {
  const [client, server] = await issueCredentials([CLIENT_NAME, SERVER_NAME]);
  return { client: client as Credentials, server: server as Credentials };
}

/** Of one authority, in the order of `names`. */
export async function issueCredentials(names: readonly string[]): Promise<Credentials[]> {
  const directory = mkdtempSync(path.join(os.tmpdir(), 'flotilla-'));
  try {
    const authority = await ClusterAuthority.open(directory, { clock: systemClock });
    const issued: Credentials[] = [];
    for (const name of names) {
      const { privateKeyPem, csrPem } = await createKeyAndCsr(name);
      const certificatePem = await authority.issue(name, csrPem);
      issued.push({ name, certificatePem, privateKeyPem, caPem: authority.caPem });
    }
    return issued;
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}
