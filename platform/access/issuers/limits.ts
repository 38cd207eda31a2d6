/** What an issuer of tokens may cost us, and how long its word holds. */

/** A caller waits for keys that are not here yet: so long, and then it is refused. */
export const fetchMsMax = 2_000;
/** 100 keys of RSA 4096 with their certificates. */
export const keysBytesMax = 512 * 1024;
/** An issuer has two or three, and one that serves many tenants some tens. */
export const keysMax = 100;
/** They are fetched anew in the background, so that one that was withdrawn is not believed for long. */
export const keysFreshMs = 5 * 60_000;
/** Anybody may name a key that is not known: it is asked for at most so often. */
export const keysAgainMs = 30_000;
/** While nothing can be fetched, what is here is believed: as long as tokens last as a rule, and outages of an hour are rare. */
export const keptMs = 60 * 60_000;
/** Clocks of two hosts that are kept by NTP differ by less; what OpenID's own libraries allow. */
export const leewaySeconds = 60;
/** Node takes heads of 16 KiB. */
export const tokenLengthMax = 16 * 1024;
