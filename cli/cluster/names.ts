/** What the parts of a cluster on this machine are called. */

/** Of all of them, in their configuration and their certificates. */
export const localCluster = 'local';

export const agentName = (i: number): string => `agent-${i + 1}`;
