/**
 * The scale that Shoal promises, as commands: `--scale NAME` stands for options, any of which may be given otherwise, and
 * for a goal that the run is held to. What was run at which size: loadgen/README.md.
 */

/** Of a run's figures (result.ts), those that goals are about. */
export type Figures = {
  readonly p99S: number;
  readonly boundS: number;
  readonly virtualS: number;
  readonly incomplete: number;
};

export type Goal = {
  /** What is measured, and the most that it may be. */
  readonly text: string;
  readonly most: number;
  readonly of: (result: Figures) => number;
};

export type Scale = {
  readonly text: string;
  /** By the option's name, as on the command line. */
  readonly options: Readonly<Record<string, string>>;
  readonly goal: Goal;
};

const overBound = (text: string, most: number): Goal => ({
  text,
  most,
  of: ({ p99S, boundS }) => p99S / boundS,
});

export const scales: Readonly<Record<string, Scale>> = {
  seeder: {
    text: 'one seeder, and 2,600 hosts in the same second',
    options: { hosts: '2600', origins: '1', image: '3GB', arrive: '1s' },
    goal: overBound('p99 over the bound', 1.1),
  },
  crowd: {
    text: '15,000 hosts x 3 GB',
    options: { hosts: '15000', origins: '5', image: '3GB', piece: '4MiB', arrive: '1s' },
    goal: { text: 'p99, seconds', most: 10.9, of: ({ p99S }) => p99S },
  },
  peak: {
    text: "Kraken's peak: 20,000 downloads of 100 MB to 1 GB, asked for within 20 s by 3,000 hosts",
    options: {
      hosts: '3000',
      downloads: '20000',
      images: '500',
      layers: '1',
      image: '100MB',
      'image-max': '1GB',
      origins: '10',
      'origin-up': '3GB/s',
      arrive: '20s',
    },
    goal: { text: 'the last one is done after, seconds', most: 30, of: ({ virtualS }) => virtualS },
  },
  images: {
    text: '1,000 different images at once over 500 hosts, ten downloads each of 5 GB in all a host',
    options: {
      hosts: '500',
      downloads: '5000',
      images: '1000',
      layers: '1',
      image: '500MB',
      origins: '10',
      'origin-up': '3GB/s',
    },
    goal: overBound('p99 over the bound', 1.25),
  },
  large: {
    text: '100 GB to 10,000 hosts',
    options: {
      hosts: '10000',
      image: '100GB',
      layers: '1',
      piece: '16MiB',
      window: '128MiB',
      limit: '3600s',
    },
    goal: {
      text: 'p99 over what a link takes for it at 80 percent',
      most: 1,
      of: ({ p99S, boundS }) => (0.8 * p99S) / boundS,
    },
  },
};

/** A line that says whether the goal is reached, to be printed under the figures. */
export function verdictOf(name: string, result: Figures): string {
  const { text, most, of } = (scales[name] as Scale).goal;
  const is = of(result);
  // What is not complete has reached nothing, and a figure that cannot be told neither.
  const reached = result.incomplete === 0 && is <= most;
  return `${text}: ${is.toFixed(3)}, at most ${most}: ${reached ? 'reached' : 'missed'}`;
}
