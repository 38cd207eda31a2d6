/** Connections of the peer plane that are made in a second by one process that is both ends: with certificates, and with sessions. */

import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { cpuUsage } from 'node:process';
import { connect, createSecureContext } from 'node:tls';
import { Certificates } from '../../harness/certificates.ts';
import { rounded } from '../../harness/numbers.ts';
import type { Figures } from '../../harness/report.ts';
import { type Material, type MaterialFiles, readMaterial } from '../../platform/certs/material.ts';
import { Credentials } from '../../platform/net/credentials.ts';
import { tls } from '../../platform/net/tls.ts';
import { whoIsIn } from '../../platform/secure/who.ts';

const kinds = ['full', 'resumed'] as const;

export async function handshakeMeasures(count: number): Promise<Figures> {
  const dir = mkdtempSync(join(tmpdir(), 'shoal-bench-'));
  try {
    const certificates = await Certificates.make(dir);
    const material = async (name: string): Promise<Material> => {
      const { tls: files } = await certificates.settings('agent', name);
      const found = readMaterial(files as MaterialFiles, { role: undefined, cluster: undefined }, Date.now());
      if ('identity' in found) return found;
      throw new Error(found.join('\n'));
    };
    const [server, client] = [await material('server'), await material('client')];
    const made = { full: 0, resumed: 0 };
    const whoIs = whoIsIn('bench', Date.now);
    const dialling = new Credentials(client, whoIs);
    const listener = await tls(new Credentials(server, whoIs)).listen(
      { host: '127.0.0.1', port: 0 },
      {
        accept: (incoming) => void incoming.take({ received: () => true, closed: () => undefined }),
        failed: () => undefined,
      },
    );
    const at = { host: '127.0.0.1', port: listener.port };
    const secureContext = createSecureContext(dialling.options);
    const dial = async (kind: (typeof kinds)[number]): Promise<void> => {
      const socket = kind === 'full' ? connect({ ...at, secureContext }) : dialling.dial(at, 'link');
      await once(socket, 'secureConnect');
      made[socket.isSessionReused() ? 'resumed' : 'full']++;
      socket.end();
      // Its ticket comes on the way.
      await once(socket.resume(), 'close');
    };
    await dial('resumed');
    const figures: Record<string, number> = {};
    for (const kind of kinds) {
      const before = made[kind];
      const cpu = cpuUsage();
      const startedMs = performance.now();
      for (let i = 0; i < count; i++) await dial(kind);
      const seconds = (performance.now() - startedMs) / 1_000;
      const { user, system } = cpuUsage(cpu);
      if (made[kind] - before < count - 1)
        throw new Error(`of ${count} handshakes ${made[kind] - before} were ${kind}`);
      figures[`${kind}HandshakesPerS`] = rounded(count / seconds);
      figures[`${kind}HandshakeCpuMs`] = rounded((user + system) / 1_000 / count);
    }
    await listener.close();
    return figures;
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}
