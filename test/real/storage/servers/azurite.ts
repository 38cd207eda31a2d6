/** Azurite: Azure Blob Storage's emulator, with a client of Azure's own that looks behind ours. */
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { BlobServiceClient, type ContainerClient, StorageSharedKeyCredential } from '@azure/storage-blob';
import { freePort } from '../../../../platform/testing/ports.ts';
import { need } from '../../programs.ts';
import { Restartable, type StorageServer } from './server.ts';

/** Azurite's own, which its documentation has. */
export const azuriteAccount = {
  account: 'devstoreaccount1',
  key: 'Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==',
} as const;
const firstContainer = 'images';

export class AzuriteServer extends Restartable implements StorageServer {
  /** With the account in its path. */
  readonly endpoint: string;
  readonly env = {};

  private constructor(dir: string, port: number) {
    const host = `http://127.0.0.1:${port}`;
    super({
      command: [
        ...[
          need('azurite-blob'),
          '--silent',
          '--disableTelemetry',
          '--skipApiVersionCheck',
          '--disableProductStyleUrl',
        ],
        ...['--blobHost', '127.0.0.1', '--blobPort', String(port), '--location', join(dir, 'data')],
      ],
      log: join(dir, 'log'),
      // It answers nobody who does not sign; an answer it is.
      ready: async () => (await fetch(host)).status < 500,
    });
    this.endpoint = `${host}/${azuriteAccount.account}`;
  }

  static async begin(dir: string): Promise<AzuriteServer> {
    await mkdir(join(dir, 'data'));
    const server = new AzuriteServer(dir, await freePort());
    await server.start();
    await server.makeContainer(firstContainer);
    return server;
  }

  get rule() {
    const { account, key } = azuriteAccount;
    const credentials = { sharedKey: key };
    return { name: 'main', azure: { container: firstContainer, account, endpoint: this.endpoint, credentials } };
  }

  container(name: string): ContainerClient {
    const { account, key } = azuriteAccount;
    const client = new BlobServiceClient(this.endpoint, new StorageSharedKeyCredential(account, key));
    return client.getContainerClient(name);
  }

  async makeContainer(name: string): Promise<void> {
    await this.container(name).create();
  }
}

export function startAzurite(dir: string): Promise<AzuriteServer> {
  return AzuriteServer.begin(dir);
}
