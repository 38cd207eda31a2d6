/** A registry's client as this test needs it, which throws Failed, or Wrong, with what an operator would want to know. */

import type { Digest } from '../../../../core/digest.ts';
import { OCI_PATHS } from '../../../../core/oci/paths.ts';
import { type Answer, type Ask, ask, Broken } from './http.ts';
import { Failed } from './records.ts';

export const manifestType = 'application/vnd.oci.image.manifest.v1+json';

export class Registry {
  readonly #base: string;

  constructor(base: string) {
    this.#base = base;
  }

  manifest(repo: string, reference: string): Promise<Answer> {
    return this.#expect(200, OCI_PATHS.manifest(repo, reference), { headers: { accept: manifestType } });
  }

  blob(repo: string, digest: string): Promise<Answer> {
    return this.#expect(200, OCI_PATHS.blob(repo, digest as Digest));
  }

  /** In one request, or in three, as clients do. */
  async putBlob(repo: string, blob: { digest: string; content: Uint8Array }, whole: boolean): Promise<void> {
    const headers = { 'content-type': 'application/octet-stream' };
    const digest = blob.digest as Digest;
    const uploads = OCI_PATHS.uploads(repo);
    if (whole) {
      const at = OCI_PATHS.commit(uploads, digest);
      await this.#expect(201, at, { method: 'POST', headers, body: blob.content });
      return;
    }
    const begun = await this.#expect(202, uploads, { method: 'POST', body: new Uint8Array() });
    const at = this.#path(begun.headers.location);
    const sent = await this.#expect(202, at, { method: 'PATCH', headers, body: blob.content });
    const end = OCI_PATHS.commit(this.#path(sent.headers.location), digest);
    await this.#expect(201, end, { method: 'PUT', body: new Uint8Array() });
  }

  async putManifest(repo: string, tag: string, content: Uint8Array): Promise<void> {
    const headers = { 'content-type': manifestType };
    await this.#expect(201, OCI_PATHS.manifest(repo, tag), { method: 'PUT', headers, body: content });
  }

  /** A manifest by its digest, or a blob. */
  async remove(kind: 'manifest' | 'blob', repo: string, digest: string): Promise<void> {
    const path = kind === 'manifest' ? OCI_PATHS.manifest(repo, digest) : OCI_PATHS.blob(repo, digest as Digest);
    await this.#expect(202, path, { method: 'DELETE' });
  }

  #path(location: string | undefined): string {
    const { pathname, search } = new URL(location ?? '', this.#base);
    return `${pathname}${search}`;
  }

  async #expect(status: number, path: string, how: Ask = {}): Promise<Answer> {
    const at = `${how.method ?? 'GET'} ${path}`;
    const answer = await ask(`${this.#base}${path}`, how).catch((error: unknown) => {
      if (!(error instanceof Broken)) throw error;
      throw new Failed({ at, status: 0, code: error.what, message: error.message });
    });
    if (answer.status === status) return answer;
    const requestId = answer.headers['x-request-id'];
    throw new Failed({ at, status: answer.status, ...errorIn(answer), requestId: requestId?.toString() });
  }
}

function errorIn({ body }: Answer): { code: string; message: string } {
  try {
    const { code, message } = JSON.parse(body.toString()).errors[0];
    return { code: String(code), message: String(message) };
  } catch {
    return { code: 'NO_CODE', message: body.toString().slice(0, 200) };
  }
}
