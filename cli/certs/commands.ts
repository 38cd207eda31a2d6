/** The sub-commands of `shoal certs`, as commander knows them. They work on files, and ask no component. */

import { type Command, InvalidArgumentError, Option } from 'commander';
import { CALLER_ROLES, type CallerRole, callerRoleOf } from '../../core/access/identity.ts';
import { HELP } from '../help.ts';
import { dayMs, forgetOld, initAuthority, issuedIn, openAuthority, renewAuthority, validityFrom } from './authority.ts';
import {
  hasRevoked,
  issue,
  issuedUntilMs,
  listRevoked,
  reissue,
  revoke,
  sanValid,
  spread,
  unrevoked,
} from './issued.ts';
import { showCertificates } from './show.ts';

type Say = (line: string) => void;
type Adding = (name: string, description: string) => Command;
type Dir = { readonly dir: string };
type Days = { readonly days: number };

const dirDefault = 'certs';
/** Ten years: an authority is replaced with a plan, and by hand. */
const authorityDays = 3650;
/** Three months, as cert-manager has it. */
const certificateDays = 90;
const daysMax = 36_500;

export function addCertsCommands(certs: Command, say: Say): void {
  const add: Adding = (name, description) =>
    certs
      .command(name)
      .description(description)
      .option('--dir <dir>', 'of the authority: ca.crt and ca.key', dirDefault)
      .addHelpText('after', HELP.certs);
  addMaking(add, say);
  addRenewing(add, say);
  add('show', 'whose each certificate is, for which addresses, until when; exit code 1 where one is not right')
    .argument('[paths...]', 'certificates, or directories of them (default: --dir)')
    .option('--json', 'JSON in place of text')
    .action((paths: readonly string[], { dir, json = false }: Dir & { readonly json?: boolean }) =>
      showCertificates(paths.length === 0 ? [dir] : paths, { json, nowMs: Date.now() }, say),
    );
}

function addMaking(add: Adding, say: Say): void {
  add('init', 'makes an authority for a cluster that has none')
    .option('--cluster <name>', 'the same as `cluster` in the configuration', 'default')
    .addOption(days(authorityDays))
    .action(async ({ dir, cluster, days }: Dir & Days & { readonly cluster: string }) => {
      const made = await initAuthority(dir, cluster, validityFrom(Date.now(), days));
      say(`${dir}/ca.crt: the authority of cluster ${made.cluster}, until ${day(made.untilMs)}`);
      say(`${dir}/ca.key: who has it can be anybody: keep it off the hosts of the cluster`);
    });

  add('issue', 'makes a certificate for a component, or for an operator')
    .argument('<role>', CALLER_ROLES.join(', '), roleArgument)
    .argument('[name]', 'of the component, told apart by it (default: the role)')
    .addOption(
      new Option('--san <san>', 'an address or DNS name of it; may be repeated')
        .argParser(sansOption)
        .default([], 'none'),
    )
    .addOption(days(certificateDays))
    .option('--out <dir>', 'where tls.crt, tls.key and ca.crt go (default: NAME below --dir)')
    .action(
      async (
        role: CallerRole,
        name: string | undefined,
        { dir, san: sans, days, out }: Dir & Days & { readonly san: readonly string[]; readonly out?: string },
      ) => {
        const authority = openAuthority(dir);
        const validity = validityFrom(Date.now(), days);
        const made = await issue(authority, { role, name: name ?? role, sans, validity, out });
        if (hasRevoked(authority)) spread(authority, [made]);
        showCertificates([made], { json: false, nowMs: Date.now() }, say);
      },
    );
}

function addRenewing(add: Adding, say: Say): void {
  type Rotating = Dir & Days & { readonly ca?: boolean; readonly forgetOld?: boolean; readonly within?: number };
  add('rotate', 'issues certificates anew, with new keys; or, in three steps, the authority')
    .argument('[dirs...]', 'of certificates (default: all below --dir)')
    .option('--within <days>', 'only those that expire within so many days', whole)
    .addOption(days(certificateDays))
    .addOption(new Option('--ca', 'adds a new authority, which signs from now on').conflicts(['forgetOld', 'within']))
    .addOption(new Option('--forget-old', 'believes the newest authority only').conflicts(['within']))
    .action(async (dirs: readonly string[], { dir, days, ca, forgetOld: forget, within }: Rotating) => {
      const before = openAuthority(dir);
      const named = dirs.length === 0 ? issuedIn(dir) : dirs;
      const nowMs = Date.now();
      if (ca === true || forget === true) {
        const after = ca ? await renewAuthority(before, validityFrom(nowMs, authorityDays)) : forgetOld(before);
        if (ca && hasRevoked(after)) await listRevoked(after, [], validityFrom(nowMs, authorityDays));
        spread(after, named);
        say(`${dir}/ca.crt, and ${named.length} beside certificates: ${ca ? 'one more authority' : 'one authority'}`);
        say(ca ? NEXT.added : NEXT.forgotten);
        return;
      }
      const valid = await unrevoked(before, named);
      for (const one of named) if (!valid.includes(one)) say(`${one}: revoked, and not issued again`);
      const due = within === undefined ? valid : valid.filter((one) => issuedUntilMs(one) < nowMs + within * dayMs);
      for (const one of due) await reissue(before, one, validityFrom(nowMs, days));
      if (hasRevoked(before)) spread(before, due);
      if (due.length > 0) showCertificates(due, { json: false, nowMs }, say);
      else say('none is due');
    });

  add('revoke', 'has nobody take these certificates any more: ca.crl, which `tls.crl` names')
    .argument('<dirs...>', 'of certificates')
    .action(async (dirs: readonly string[], { dir }: Dir) => {
      const gone = await revoke(openAuthority(dir), dirs, validityFrom(Date.now(), authorityDays));
      say(`${dir}/ca.crl: ${gone.join(', ')}`);
    });
}

const NEXT = {
  added:
    'once every process has read that (a minute): `shoal certs rotate`, and then `shoal certs rotate --forget-old`',
  forgotten: 'whoever shows a certificate of an older authority is a stranger now',
} as const;

function days(standard: number): Option {
  return new Option('--days <days>', 'how long it is valid').argParser(whole).default(standard);
}

function whole(text: string): number {
  const value = Number(text);
  if (/^\d+$/.test(text) && value >= 1 && value <= daysMax) return value;
  throw new InvalidArgumentError(`Give a whole number from 1 to ${daysMax}.`);
}

function roleArgument(text: string): CallerRole {
  const role = callerRoleOf(text);
  if (role !== undefined) return role;
  throw new InvalidArgumentError(`Give one of ${CALLER_ROLES.join(', ')}.`);
}

/** commander calls it with what it has made of those before. */
function sansOption(text: string, previous: readonly string[]): string[] {
  const given = text.split(',').map((one) => one.trim());
  const wrong = given.find((one) => !sanValid(one));
  if (wrong !== undefined) throw new InvalidArgumentError(`"${wrong}" is no address and no name of DNS.`);
  return [...previous, ...given];
}

function day(ms: number): string {
  return new Date(ms).toISOString().slice(0, 10);
}
