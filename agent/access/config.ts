/** What an agent's configuration says of access: docs/access.md. */

import * as z from 'zod';
import { accessShape } from '../../platform/access/config.ts';
import { duration } from '../../platform/config/units.ts';

export const agentAccessShape = () =>
  z
    .strictObject({
      ...accessShape(),
      /** How long it is remembered that a repository has a digest, so that a pull is not a question for each of its requests. */
      remember: duration('5m', { min: '1s', max: '1h' }),
    })
    .optional();

export type AgentAccessConfig = NonNullable<z.output<ReturnType<typeof agentAccessShape>>>;
