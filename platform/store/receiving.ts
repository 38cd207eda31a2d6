/** Uploads that are open, by the id that their client was given. */

import { assert } from '../../core/assert.ts';
import { ApiError } from '../../core/contracts/errors.ts';
import type { DigestAlgorithm } from '../../core/digest.ts';
import { asApiError } from './disk/errors.ts';
import type { Layout } from './layout.ts';
import { Upload, type UploadHost } from './upload.ts';
import type { Volumes } from './volumes/volumes.ts';

export class Receiving {
  readonly #layout: Layout;
  readonly #volumes: Pick<Volumes, 'place'>;
  readonly #host: UploadHost;
  readonly #uploads = new Map<string, Upload>();

  constructor(
    at: { readonly layout: Layout; readonly volumes: Pick<Volumes, 'place'> },
    host: Omit<UploadHost, 'ended'>,
  ) {
    this.#layout = at.layout;
    this.#volumes = at.volumes;
    this.#host = {
      ...host,
      ended: (upload) => {
        this.#uploads.delete(upload.id);
      },
    };
  }

  upload(id: string): Upload | undefined {
    return this.#uploads.get(id);
  }

  /** ApiError BLOB_UPLOAD_INVALID where the id is taken, STORAGE_FULL, UNAVAILABLE. */
  async begin(id: string, algorithm: DigestAlgorithm): Promise<Upload> {
    assert(/^[a-z0-9-]+$/.test(id), `store: upload id ${id}`);
    if (this.#uploads.has(id)) throw new ApiError('BLOB_UPLOAD_INVALID', `upload ${id} has been begun already`);
    const volume = this.#volumes.place(id, 0);
    const path = this.#layout.upload(id, volume);
    const upload = new Upload({ id, algorithm, path, volume, host: this.#host });
    this.#uploads.set(id, upload);
    try {
      await upload.begin();
    } catch (error) {
      this.#uploads.delete(id);
      throw asApiError(error, `upload ${id}`);
    }
    return upload;
  }

  async cancelAll(): Promise<void> {
    await Promise.all([...this.#uploads.values()].map((upload) => upload.cancel()));
  }
}
