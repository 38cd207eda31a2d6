/** What the parts of a cluster on this machine are called. */

/** Of all of them, in their configuration and their certificates. */
export const localCluster = 'local';

/** The first is what it was when there was one. */
export const indexName = (i: number): string => (i === 0 ? 'index' : `index-${i + 1}`);
export const agentName = (i: number): string => `agent-${i + 1}`;
