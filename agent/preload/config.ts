/** Where an agent finds the container runtimes of its host, to have them pull an image by it. */

import * as z from 'zod';

const socket = (fallback: string) => z.string().regex(/^\/./, 'is no absolute path of a socket').prefault(fallback);

export const preloadShape = () =>
  z
    .strictObject({
      docker: socket('/var/run/docker.sock'),
      containerd: socket('/run/containerd/containerd.sock'),
      /** host:port by which the runtimes reach this agent's registry; left out: 127.0.0.1 and the port of `listen`. */
      registry: z
        .string()
        .regex(/^[A-Za-z0-9.-]+:\d{1,5}$/, 'is no host:port')
        .optional(),
    })
    .prefault({});

export type PreloadConfig = z.output<ReturnType<typeof preloadShape>>;
