/** An image that a container runtime of this host is to have before anybody runs it: it pulls it by this agent. */

import { ApiError } from '../../core/contracts/errors.ts';
import { krakenTag } from '../../core/contracts/kraken/fields.ts';
import { architectureOf } from '../../platform/host/pins/closure.ts';
import type { PreloadConfig } from './config.ts';
import { pullByContainerd } from './containerd.ts';
import { pullByDocker } from './docker.ts';

export type Preloaded = {
  /** `repo:tag`. */
  readonly tag: string;
  readonly runtime?: 'docker' | 'containerd' | undefined;
  readonly namespace?: string | undefined;
};
export type PreloadSettings = PreloadConfig & { readonly registry: string };

/** Resolves once the runtime has it. Throws RUNTIME_FAILED. */
export async function preload(
  { tag: named, runtime = 'docker', namespace }: Preloaded,
  { registry, docker, containerd }: PreloadSettings,
  signal: AbortSignal,
): Promise<void> {
  const { repo, tag } = krakenTag(named);
  const image = `${registry}/${repo}`;
  if (runtime === 'docker') return await pullByDocker(docker, { image, tag }, signal);
  if (namespace === undefined)
    throw new ApiError('REQUEST_INVALID', 'say which namespace of containerd: namespace=k8s.io for Kubernetes');
  const architecture = architectureOf(process.arch);
  await pullByContainerd(containerd, { image: `${image}:${tag}`, namespace, architecture }, signal);
}
