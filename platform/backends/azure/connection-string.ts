/** A connection string as Azure's portal shows it: `AccountName=…;AccountKey=…;…`. Pure. */

export type AzureConnection = {
  /** Without a slash at its end. */
  readonly endpoint: string;
  readonly account: string | undefined;
  readonly sharedKey: string | undefined;
  readonly sas: string | undefined;
};

/** Azurite's own, which is the same everywhere (its documentation has it), so that it is no secret. */
const development =
  'AccountName=devstoreaccount1;AccountKey=Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==;BlobEndpoint=http://127.0.0.1:10000/devstoreaccount1';

/** Text: what is wrong with it. */
export function connectionOf(text: string): AzureConnection | string {
  const said = new Map<string, string>();
  for (const part of text.split(';').filter((one) => one.trim() !== '')) {
    const at = part.indexOf('=');
    if (at < 1) return 'expected a connection string: AccountName=…;AccountKey=…';
    said.set(part.slice(0, at).trim().toLowerCase(), part.slice(at + 1).trim());
  }
  if (said.get('usedevelopmentstorage') === 'true') return connectionOf(development);
  const account = said.get('accountname');
  const sharedKey = said.get('accountkey');
  const sas = said.get('sharedaccesssignature');
  const suffix = said.get('endpointsuffix') ?? 'core.windows.net';
  const protocol = said.get('defaultendpointsprotocol') ?? 'https';
  const endpoint = said.get('blobendpoint') ?? (account && `${protocol}://${account}.blob.${suffix}`);
  if (endpoint === undefined || !URL.canParse(endpoint)) return 'has neither AccountName nor a BlobEndpoint';
  if (sas === undefined && (sharedKey === undefined || account === undefined))
    return 'has neither AccountName and AccountKey nor a SharedAccessSignature';
  return { endpoint: endpoint.replace(/\/+$/, ''), account, sharedKey, sas };
}
