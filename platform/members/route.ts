/** What a process knows of its members, for operators: `shoal status`. */

import type { FastifyInstance } from 'fastify';
import { MEMBERS } from '../../core/contracts/members.ts';
import { serve } from '../http/serve.ts';
import type { Membership } from './membership.ts';

export function addMembersRoute(app: FastifyInstance, membership: Pick<Membership, 'status'>): void {
  serve(app, MEMBERS.status, () => membership.status());
}
