/**
 * What an index's write is as an event, in the form of Docker's registry (its notifications), so that receivers that were
 * written for that take it.
 *
 * Rule: the same write has the same id, whoever tells of it and how often.
 */

import { createHash } from 'node:crypto';
import type { ManifestRecord } from '../../core/contracts/index-api.ts';
import { OCI_PATHS } from '../../core/oci/paths.ts';
import type { OutboxRow } from '../../platform/tags/outbox.ts';
import { writerOf } from '../../platform/tags/versions.ts';
import type { EVENT_ACTIONS } from './config.ts';

export const eventsMediaType = 'application/vnd.docker.distribution.events.v1+json';
export type EventAction = (typeof EVENT_ACTIONS)[number];

export type EventOrigin = {
  /** The identity of the index's database. */
  readonly database: string;
  /** host:port of the process. */
  readonly address: string;
  /** Base URL of the registry, where it is known. */
  readonly registry: string | undefined;
};

type RegistryEvent = {
  readonly id: string;
  readonly timestamp: string;
  readonly action: EventAction;
  readonly target: {
    readonly repository: string;
    readonly digest?: string;
    readonly tag?: string;
    readonly mediaType?: string;
    readonly size?: number;
    readonly length?: number;
    readonly url?: string;
  };
  readonly request: object;
  readonly actor: object;
  readonly source: { readonly addr: string; readonly instanceID: string };
};

/** replicate: it was written in another cluster, and came here. */
export function actionOf({ digest, version }: Pick<OutboxRow, 'digest' | 'version'>, database: string): EventAction {
  if (digest === null) return 'delete';
  return writerOf(version) === database ? 'push' : 'replicate';
}

/** `record`: of the manifest, where it is still there. */
export function eventOf(row: OutboxRow, record: ManifestRecord | undefined, origin: EventOrigin): RegistryEvent {
  const { repo, kind, name, version, sinceMs } = row;
  const digest = row.digest ?? (kind === 'manifest' ? name : undefined);
  const size = record && { mediaType: record.mediaType, size: record.size, length: record.size };
  const url = origin.registry === undefined || digest === undefined ? undefined : OCI_PATHS.manifest(repo, digest);
  return {
    id: createHash('sha256').update([version, kind, repo, name, row.digest].join(' ')).digest('hex').slice(0, 32),
    timestamp: new Date(sinceMs).toISOString(),
    action: actionOf(row, origin.database),
    target: {
      ...size,
      ...(digest === undefined ? {} : { digest }),
      repository: repo,
      ...(url === undefined ? {} : { url: `${origin.registry}${url}` }),
      ...(kind === 'tag' ? { tag: name } : {}),
    },
    request: {},
    actor: {},
    source: { addr: origin.address, instanceID: origin.database },
  };
}
