/** `events` of an index's configuration: who is told of pushes and deletions. */

import * as z from 'zod';
import { repositoryPatternValid } from '../../core/oci/pattern.ts';
import { baseUrl, duration } from '../../platform/config/units.ts';

/** Each costs every write a row. */
const endpointsMax = 16;
const patternsMax = 100;
const headersMax = 32;
const headerBytesMax = 8_192;

export const EVENT_ACTIONS = ['push', 'delete', 'replicate'] as const;

const pattern = z
  .string()
  .refine(repositoryPatternValid, 'is no pattern of a repository: a name, `*` within a part of it, `**` for any');

const receiver = z
  .string()
  .refine(
    (text) => /^https?:$/.test(URL.parse(text)?.protocol ?? ''),
    'expected a URL such as https://ci.example/hook',
  );

const endpoint = z.strictObject({
  /** In metrics, logs and the queue (`event:NAME`): what waits for it waits under this name. */
  name: z.string().regex(/^[a-z0-9][a-z0-9-]{0,62}$/, 'expected small letters, digits and -, 63 characters at most'),
  url: receiver,
  /** With each request, such as `authorization`. */
  headers: z
    .record(
      z.string().regex(/^[A-Za-z0-9-]{1,64}$/, 'is no name of a header'),
      z
        .string()
        .max(headerBytesMax)
        .regex(/^[\t\x20-\x7e]*$/, 'is no value of a header'),
    )
    .refine((all) => Object.keys(all).length <= headersMax, `more than ${headersMax} are none`)
    .prefault({}),
  repositories: z.array(pattern).min(1).max(patternsMax).prefault(['**']),
  actions: z
    .array(z.enum(EVENT_ACTIONS))
    .min(1)
    .prefault([...EVENT_ACTIONS]),
  /** It may be silent for so long. */
  timeout: duration('10s', { min: '100ms', max: '60s' }),
});

export const eventsShape = () =>
  z
    .strictObject({
      /** The registry as receivers reach it: events then say the URL of each manifest. */
      registry: baseUrl().optional(),
      endpoints: z
        .array(endpoint)
        .max(endpointsMax)
        .superRefine((all, ctx) => {
          for (const [i, { name }] of all.entries())
            if (all.findIndex((one) => one.name === name) < i)
              ctx.addIssue({ code: 'custom', path: [i, 'name'], message: `${name} is there twice` });
        })
        .prefault([]),
    })
    .prefault({});

export type EventsConfig = z.output<ReturnType<typeof eventsShape>>;
export type EventEndpoint = EventsConfig['endpoints'][number];
