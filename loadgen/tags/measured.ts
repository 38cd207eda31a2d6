/**
 * One index process on one engine, and what its readers and writers got of it, over as many rounds as there are.
 *
 * A round has four parts: readers alone, writers alone, both at once, and a herd: every reader asks for one tag within
 * a second. What a core does is answers over CPU seconds of the index's process, however busy the machine is with the load.
 */

import { randomBytes } from 'node:crypto';
import { together } from '../../harness/lanes.ts';
import { rounded, sum } from '../../harness/numbers.ts';
import { cpuSeconds, residentMiB } from '../../harness/proc.ts';
import { RoleProcess } from '../../harness/roles.ts';
import { CallContext } from '../../platform/clients/context.ts';
import { IndexClient } from '../../platform/clients/index-client.ts';
import { httpMembers } from '../../platform/members/http.ts';
import { fixedList } from '../../platform/members/list.ts';
import type { Engine } from '../indexes/store.ts';
import { Connection } from './connection.ts';
import { type Answers, askFor, askOnce, type Figures, figures } from './load.ts';
import type { TagsOptions } from './options.ts';
import { digestNo, manifestPut, readOf, repository, writeOf } from './requests.ts';

/** Compilers and caches get this share of a part's time before it counts. */
const warmUpShare = 0.3;
/** In which every host of a herd asks. */
const herdMs = 1_000;
/** Connections that are made at a time: a listener's backlog takes them. */
const openingMax = 100;
/** Reads that were put to the engine. */
const engineReads = 'shoal_index_reads_total{by="engine"}';

/** Of one kind of question, alone. */
export type AloneFigures = Figures & { readonly perSPerCore: number };
export type EngineFigures = {
  readonly engine: string;
  readonly reads: AloneFigures & { readonly ofEngine: number };
  readonly writes: AloneFigures;
  /** At once: writers move the tags that are read. */
  readonly both: { readonly reads: Figures; readonly writes: Figures };
  /** Of `asked` reads of one tag within a second so many were put to the engine, in the worst round. */
  readonly herd: Figures & { readonly asked: number; readonly ofEngine: number };
  readonly rssMiB: number;
};

/** Of a part: what was answered, for how much CPU, and what the engine was asked. */
type Part = { readonly answers: Answers; readonly cpuS: number; readonly ofEngine: number };
type Sides = { readonly readers: readonly Connection[]; readonly writers: readonly Connection[] };

export class Measured {
  readonly #engine: string;
  readonly #index: RoleProcess;
  readonly #options: TagsOptions;
  readonly #tags: readonly string[];
  readonly #reads: Part[] = [];
  readonly #writes: Part[] = [];
  readonly #bothReads: Answers[] = [];
  readonly #bothWrites: Answers[] = [];
  readonly #herds: Part[] = [];
  #written = 0;

  private constructor(engine: string, index: RoleProcess, options: TagsOptions) {
    this.#engine = engine;
    this.#index = index;
    this.#options = options;
    this.#tags = Array.from({ length: options.tags }, (_, no) => `tag-${no}`);
  }

  /** Until the stack ends. */
  static async begin(
    stack: AsyncDisposableStack,
    engine: Engine,
    { dir, options }: { readonly dir: string; readonly options: TagsOptions },
  ): Promise<Measured> {
    const { name } = engine;
    const listen = { host: '127.0.0.1', port: 0 };
    const config = { log: { level: options.log }, listen, ...engine.config(undefined) };
    const index = stack.use(await RoleProcess.start({ role: 'index', name: `index-${name}`, dir, config }));
    const measured = new Measured(name, index, options);
    await measured.#fill();
    return measured;
  }

  async round(): Promise<void> {
    using stack = new DisposableStack();
    const { readers, writers, durationMs } = this.#options;
    const [reading, writing] = [await this.#open(readers, stack), await this.#open(writers, stack)];
    const sides: Sides = { readers: reading, writers: writing };
    await this.#read(sides, durationMs * warmUpShare);
    this.#reads.push(await this.#part(() => this.#read(sides, durationMs)));
    await this.#write(sides, durationMs * warmUpShare);
    this.#writes.push(await this.#part(() => this.#write(sides, durationMs)));
    const [reads, writes] = await Promise.all([this.#read(sides, durationMs), this.#move(sides, durationMs)]);
    this.#bothReads.push(reads);
    this.#bothWrites.push(writes);
    this.#herds.push(await this.#part(() => askOnce(reading, herdMs, readOf(this.#tags[0] as string))));
  }

  figures(): EngineFigures {
    return {
      engine: this.#engine,
      reads: { ...alone(this.#reads), ofEngine: sum(this.#reads.map(({ ofEngine }) => ofEngine)) },
      writes: alone(this.#writes),
      both: { reads: figures(this.#bothReads), writes: figures(this.#bothWrites) },
      herd: {
        ...figures(this.#herds.map(({ answers }) => answers)),
        asked: this.#options.readers,
        ofEngine: Math.max(...this.#herds.map(({ ofEngine }) => ofEngine)),
      },
      rssMiB: rounded(residentMiB(this.#index.pid)),
    };
  }

  get #port(): number {
    return this.#index.ports['api'] as number;
  }

  get #url(): string {
    return `http://127.0.0.1:${this.#port}`;
  }

  /** Each tag on a manifest of its own, and one more manifest that tags are moved to. */
  async #fill(): Promise<void> {
    await using members = httpMembers(fixedList([this.#url]));
    const client = new IndexClient(members);
    await together(4, this.#tags.length + 1, async (no) => {
      const tag = this.#tags[no];
      const put = { ...manifestPut, tags: tag === undefined ? [] : [tag] };
      await client.putManifest(repository, digestNo(no), put, CallContext.begin());
    });
  }

  async #open(count: number, stack: DisposableStack): Promise<Connection[]> {
    const opened: Connection[] = [];
    await together(openingMax, count, async () => {
      opened.push(stack.use(await Connection.open(this.#port)));
    });
    return opened;
  }

  #read({ readers }: Sides, durationMs: number): Promise<Answers> {
    const requests = this.#tags.map(readOf);
    let asked = 0;
    return askFor(readers, durationMs, () => requests[asked++ % requests.length] as string);
  }

  /** Tags that nobody had before. */
  #write({ writers }: Sides, durationMs: number): Promise<Answers> {
    return askFor(writers, durationMs, () => this.#writeOf(`new-${this.#written}`));
  }

  /** Those that are read. */
  #move({ writers }: Sides, durationMs: number): Promise<Answers> {
    return askFor(writers, durationMs, () => this.#writeOf(this.#tags[this.#written % this.#tags.length] as string));
  }

  #writeOf(tag: string): string {
    const digest = digestNo(this.#written++ % (this.#tags.length + 1));
    return writeOf(tag, digest, randomBytes(16).toString('hex'));
  }

  async #part(run: () => Promise<Answers>): Promise<Part> {
    const [cpuBefore, before] = [cpuSeconds(this.#index.pid), await this.#engineReads()];
    const answers = await run();
    const cpuS = cpuSeconds(this.#index.pid) - cpuBefore;
    return { answers, cpuS, ofEngine: (await this.#engineReads()) - before };
  }

  #engineReads(): Promise<number> {
    return this.#index.counter(this.#url, engineReads);
  }
}

function alone(parts: readonly Part[]): AloneFigures {
  const answered = sum(parts.map(({ answers }) => answers.ms.length));
  const cpuS = sum(parts.map((part) => part.cpuS));
  return { ...figures(parts.map(({ answers }) => answers)), perSPerCore: rounded(answered / cpuS) };
}
