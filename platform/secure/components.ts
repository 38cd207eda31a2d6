/** What the cluster's certificates are to whoever takes those of users beside them. */

import type { X509Certificate } from 'node:crypto';

export type Components = {
  /** The cluster's authorities, each PEM. */
  readonly authorities: () => readonly string[];
  /** Whether one of these stands behind it: then it is a component's, or an operator's. */
  readonly isOurs: (certificate: X509Certificate) => boolean;
  /** Clients are asked for certificates of these authorities, too, each PEM. */
  readonly askUsers: (authorities: readonly string[]) => void;
};
