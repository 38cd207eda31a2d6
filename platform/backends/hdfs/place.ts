/** Requests about one path of HDFS, with their answers read: what the parts of this kind are made of. */

import { BackendError } from '../backend.ts';
import type { WebAnswer } from '../web/answer.ts';
import { doneOf, fileStatusOf, type HdfsStatus, pageOfDirectory } from './status.ts';
import type { WebHdfs } from './web-hdfs.ts';

/** What a request is about, for messages. */
export type About = { readonly doing: string; readonly object: string | undefined; readonly signal: AbortSignal };

export class HdfsPlace {
  readonly web: WebHdfs;

  constructor(web: WebHdfs) {
    this.web = web;
  }

  /** undefined: there is nothing. */
  async status(path: string, about: About): Promise<HdfsStatus | undefined> {
    return await unlessMissing(
      this.web.ask({ method: 'GET', op: 'GETFILESTATUS', path, ...about }).then((answer) => fileStatusOf(answer)),
    );
  }

  async makeDirectory(path: string, about: About): Promise<void> {
    await doneOf(await this.web.ask({ method: 'PUT', op: 'MKDIRS', path, ...about }));
  }

  /** One that is not there is fine. */
  async remove(path: string, about: About): Promise<void> {
    await unlessMissing(
      this.web.ask({ method: 'DELETE', op: 'DELETE', path, params: { recursive: 'false' }, ...about }).then(doneOf),
    );
  }

  /** `how`: of Hadoop's Options.Rename. Whether it was done; undefined: yes, and by a server that knows `how`. */
  async rename(from: string, to: string, how: 'NONE' | 'OVERWRITE', about: About): Promise<boolean | undefined> {
    const params = { destination: to, renameoptions: how };
    return await doneOf(await this.web.ask({ method: 'PUT', op: 'RENAME', path: from, params, ...about }));
  }

  /** HdfsNames after `after`, in the order of their bytes; undefined: there is no such directory. */
  async page(path: string, after: string | undefined, about: About) {
    const params = after === undefined ? {} : { startAfter: after };
    const answer = this.web.ask({ method: 'GET', op: 'LISTSTATUS_BATCH', path, params, ...about });
    return await unlessMissing(answer.then((given) => pageOfDirectory(given)));
  }

  /** Bytes of a file, from a DataNode. */
  async open(path: string, { start, end }: { start: number; end: number }, about: About): Promise<WebAnswer> {
    const params = { offset: `${start}`, length: `${end - start}` };
    return await this.web.follow({ method: 'GET', op: 'OPEN', path, params, ...about });
  }
}

async function unlessMissing<T>(answer: Promise<T>): Promise<T | undefined> {
  try {
    return await answer;
  } catch (error) {
    if (error instanceof BackendError && error.why === 'missing') return undefined;
    throw error;
  }
}
