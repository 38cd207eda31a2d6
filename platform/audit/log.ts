/**
 * The audit log of a process: who wrote what, synced before whoever asked is told that it was done.
 *
 * Rule 1: entries that come while others are being synced share the next sync.
 * Rule 2: where it cannot be written, whoever is to be told is told so instead: 507 where there is no room, else 503; and
 *   nothing more is done (`ready`) until it can be written again. Not so with `required: false`: then what is not written
 *   is counted, and logged now and then.
 * Rule 3: after a failure the file is opened anew, by its name, and mended.
 */

import { ApiError } from '../../core/contracts/errors.ts';
import type { Logger } from '../telemetry/log.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import { type AuditEntry, auditLine } from './entry.ts';
import { AuditFile, type AuditFileOptions } from './file.ts';

export type AuditLogOptions = AuditFileOptions & {
  /** Nothing is done of which it cannot be written down. */
  readonly required: boolean;
};
export type AuditParts = { readonly log: Logger; readonly metrics: Metrics; readonly now?: () => Date };

/** Entries that wait for one sync: some 500 bytes each. */
const pendingMax = 10_000;
/** While it fails it is tried again so often; meanwhile what is to be written down is refused at once. */
const againMs = 1_000;
const noRoom: ReadonlySet<string> = new Set(['ENOSPC', 'EDQUOT', 'EFBIG']);

type Waiting = { readonly line: string; readonly resolve: () => void; readonly reject: (error: ApiError) => void };

export class AuditLog implements AsyncDisposable {
  readonly #options: AuditLogOptions;
  readonly #parts: AuditParts;
  readonly #entries;
  readonly #lost;
  #file: AuditFile | undefined;
  #pending: Waiting[] = [];
  #writing: Promise<void> | undefined;
  /** Of the last attempt; undefined: it can be written, as far as is known. */
  #failing: ApiError | undefined;
  /** When it failed first, and last. */
  #sinceMs = 0;
  #failedMs = 0;
  #resuming: Promise<void> | undefined;
  #closed = false;

  private constructor(options: AuditLogOptions, parts: AuditParts) {
    this.#options = options;
    this.#parts = parts;
    const { metrics } = parts;
    this.#entries = metrics.counter('audit_entries_total', 'Entries that were written to the audit log');
    this.#lost = metrics.counter('audit_lost_total', 'Entries that could not be written to the audit log', ['outcome']);
    metrics.observed('audit_bytes', 'Bytes of the file that the audit log is written to', () => this.#file?.bytes ?? 0);
  }

  /** One that cannot be opened yet is tried with the first entry. */
  static async open(options: AuditLogOptions, parts: AuditParts): Promise<AuditLog> {
    const audit = new AuditLog(options, parts);
    await audit.#opened().catch((error: unknown) => audit.#fails(error));
    return audit;
  }

  /** For /readiness. */
  problems(): string[] {
    return this.#failing === undefined ? [] : [this.#failing.message];
  }

  /** Before anything is done that has to be written down. Throws where it could not be, as far as is known. */
  async ready(): Promise<void> {
    if (this.#failing === undefined || !this.#options.required) return;
    if (this.#nowMs() - this.#failedMs < againMs) throw this.#failing;
    this.#resuming ??= this.#resume().finally(() => {
      this.#resuming = undefined;
    });
    await this.#resuming;
  }

  /** Resolves once it is on the disk; where it need not be, also if it is not. */
  async write(entry: AuditEntry): Promise<void> {
    const line = auditLine(entry, this.#now());
    try {
      await this.#written(line);
      this.#entries.inc();
    } catch (error) {
      const { required } = this.#options;
      this.#lost.inc({ outcome: required ? 'refused' : 'lost' });
      if (required) throw error;
    }
  }

  /** What waits is still written. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#writing;
    this.#closed = true;
    await this.#file?.[Symbol.asyncDispose]();
    this.#file = undefined;
  }

  /** A line of its own is what tells whether there is room again. */
  async #resume(): Promise<void> {
    const detail = { failedSince: new Date(Date.now() - (this.#nowMs() - this.#sinceMs)).toISOString() };
    await this.#written(auditLine({ what: 'resume', result: 'done', who: {}, detail }, this.#now()));
  }

  #now(): Date {
    return this.#parts.now?.() ?? new Date();
  }

  #nowMs(): number {
    return performance.now();
  }

  #written(line: string): Promise<void> {
    if (this.#closed) return Promise.reject(new ApiError('UNAVAILABLE', 'the process ends'));
    if (this.#pending.length >= pendingMax)
      return Promise.reject(new ApiError('TOOMANYREQUESTS', `${pendingMax} entries wait for the audit log: try again`));
    return new Promise((resolve, reject) => {
      this.#pending.push({ line, resolve, reject });
      this.#writing ??= this.#writeAll().finally(() => {
        this.#writing = undefined;
      });
    });
  }

  async #writeAll(): Promise<void> {
    while (this.#pending.length > 0) {
      const group = this.#pending;
      this.#pending = [];
      try {
        const file = await this.#opened();
        await file.append(Buffer.from(group.map(({ line }) => line).join('')));
        this.#failing = undefined;
        for (const { resolve } of group) resolve();
      } catch (error) {
        const told = this.#fails(error);
        await this.#forget();
        for (const { reject } of group) reject(told);
      }
    }
  }

  async #opened(): Promise<AuditFile> {
    if (this.#file !== undefined) return this.#file;
    const file = await AuditFile.open(this.#options);
    this.#file = file;
    const { log } = this.#parts;
    if (file.torn > 0)
      log.warn(
        { file: this.#options.file, bytes: file.torn },
        'a line of the audit log was torn, and is cut off: nobody was told that it was done',
      );
    return file;
  }

  async #forget(): Promise<void> {
    const file = this.#file;
    this.#file = undefined;
    await file?.[Symbol.asyncDispose]().catch(() => undefined);
  }

  #fails(error: unknown): ApiError {
    const { file } = this.#options;
    const { code = '', message } = error as NodeJS.ErrnoException;
    const words = `the audit log ${file} cannot be written (${code === '' ? message : code}): nothing is changed until it can be`;
    this.#failedMs = this.#nowMs();
    if (this.#failing === undefined) {
      this.#sinceMs = this.#failedMs;
      this.#parts.log.error({ file, why: message }, 'the audit log cannot be written');
    }
    this.#failing = new ApiError(noRoom.has(code) ? 'STORAGE_FULL' : 'UNAVAILABLE', words);
    return this.#failing;
  }
}
