/** Whether a peer is what it says, where peers show certificates. */

import type { VerifiedCaller } from '../../../core/access/identity.ts';
import type { PeerAddress } from '../../../core/wire/messages.ts';

/** Why it is not what it says; undefined: it is. `who`: by its certificate, or why that is nobody's. */
export type ForeignPeer = (who: VerifiedCaller | string | undefined, self: PeerAddress) => string | undefined;
