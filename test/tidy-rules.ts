/**
 * The rules of the house that a machine can check. Each is a function of files, so that
 * `tidy.test.ts` can run it on the tree and on a made-up bad sample. A message says what to do.
 *
 * A line that must break a rule of text says why, on the line or the one before:
 * `// tidy-ignore: the reason`.
 */

import { execFileSync } from 'node:child_process'
import { existsSync, readFileSync, statSync } from 'node:fs'
import { basename, dirname, join, normalize } from 'node:path'
import { fileURLToPath } from 'node:url'
import { serverTable } from '../src/config.ts'
import { catalog } from '../src/lib/errors.ts'
import { metricTable } from '../src/lib/metrics.ts'

export interface File {
  readonly path: string
  readonly text: string
}
export type Rule = (files: readonly File[]) => readonly string[]

const root = fileURLToPath(new URL('..', import.meta.url))
/** From low to high: a file imports from its own part or a lower one. The last two wire all. */
const ranking = [
  ...['lib', 'event', 'log', 'state', 'profile', 'segment', 'catalog', 'recommend', 'template'],
  ...['experiment', 'campaign', 'delivery', 'collect', 'process', 'api', 'monitor', 'privacy'],
  ...['catcher', 'config', 'command', 'main'],
]
const rootEntries = new Set([
  ...['.ci', '.dockerignore', '.editorconfig', '.gitattributes', '.gitignore', '.oxlintrc.json'],
  ...['ARCHITECTURE.md', 'CHANGELOG.md', 'CONTRIBUTING.md', 'Dockerfile', 'LICENSE', 'NOTICE'],
  ...['README.md', 'SECURITY.md', 'bench', 'bin', 'biome.json', 'compose.yaml', 'config', 'deploy'],
  ...['docs', 'examples', 'package-lock.json', 'package.json', 'scripts', 'sdk', 'src', 'test'],
  ...['tsconfig.json', 'web'],
])
const adapterPattern =
  /^(memory|sqlite|file|kafka|kinesis|redis|dynamodb|smtp|ses|sendgrid|mailgun)-/
/** Who may import a client library, by the path of the importing file. */
const clientLibraries: readonly (readonly [RegExp, RegExp])[] = [
  [/^node:sqlite$/, /\/sqlite-[^/]*$|^src\/command\//],
  [/^(@platformatic\/kafka|ioredis|iovalkey|@aws-sdk\/)/, /\/(kafka|kinesis|redis|dynamodb|ses)-/],
  [/^(nodemailer|mailparser)/, /^src\/delivery\//],
  [/^(liquidjs|mjml|html-to-text)/, /^src\/template\//],
  [/^fastify|^@fastify/, /^src\/(collect|api)\//],
  [/^prom-client$/, /^src\/lib\/metrics\.ts$/],
  [/^(smtp-server|postal-mime)$/, /^src\/catcher\//],
]
/** Not what runs in a browser. */
const server = /^(?!sdk\/|web\/|examples\/browser\/)/
const clock = 'take deps.clock'
const random = 'take deps.random'
/** Pattern, where it is banned, where it is allowed all the same, what to do instead. */
const banned: readonly (readonly [RegExp, RegExp, RegExp, string])[] = [
  [/\bDate\.now\(/, server, /^src\/lib\/clock\.ts$/, clock],
  [/\bnew Date\(\)/, server, /^src\/lib\/clock\.ts$/, clock],
  [/\bsetTimeout\(/, server, /^src\/lib\/clock\.ts$/, clock],
  [/\bMath\.random\(/, server, /^src\/lib\/random\.ts$/, random],
  [/\brandomUUID\(/, server, /^src\/lib\/random\.ts$/, random],
  [
    /\bprocess\.env\b/,
    /^src\//,
    /^src\/(config|main)\.ts$|test\.ts$/,
    'take an option from config.ts',
  ],
  [/\bconsole\./, /^src\//, /^src\/command\//, 'take deps.logger'],
  [/^export default\b/, /./, /\.(config|d)\.ts$/, 'export a name'],
  [/^\s*(export )?(declare )?(const )?enum /, /./, /^$/, 'use a union of texts'],
  [/\bas any\b|: any\b|<any>/, /./, /^$/, 'use unknown and parse it'],
  [/@ts-ignore|@ts-nocheck/, /./, /^$/, 'mend the type'],
  [/\b(it|test|describe)\.only\(/, /./, /^$/, 'run all tests'],
  [/\b(TODO|FIXME)\b/, /./, /^$/, 'do it, or say it in docs/'],
]
/** Words with another word in the glossary. */
const words: readonly (readonly [RegExp, RegExp, string])[] = [
  [/blacklist/i, /^src\//, 'say suppression'],
  [/whitelist/i, /^src\//, 'say what it allows'],
  [/subscriberId/i, /^src\//, 'say profileId'],
  [/\bmessageId\b/, /^src\/(log|profile)\//, 'say eventId; a message is an email'],
  [/watermark(?!Ms)/i, /^src\//, 'it is only a bound on event time, `watermarkMs`; else say mark'],
]

const importForms = [
  "(?:^|\\n)\\s*(?:import|export)\\b[^'\"`;]*?from '([^']+)'",
  "(?:^|\\n)import '([^']+)'",
  "\\bimport\\('([^']+)'\\)",
]
const importPattern = new RegExp(importForms.join('|'), 'g')
const usePattern = new RegExp([...importForms, "new URL\\(\\s*'([^']+\\.ts)'"].join('|'), 'g')

const isTest = (path: string) => /[.-]test\.ts$|\.(contract|fixture|d)\.ts$|^test\//.test(path)
const isCode = (path: string) => /\.(ts|tsx|js|mjs)$/.test(path)
const partOf = (path: string) =>
  /^src\/(?:([^/]+)\/|(main|config)[^/]*$)/.exec(path)?.slice(1).find(Boolean)

function linesOf(file: File): readonly (readonly [string, number])[] {
  const lines = file.text.split('\n')
  const isIgnored = (index: number) =>
    [lines[index], lines[index - 1]].some((line) => /\/\/ tidy-ignore: \S/.test(line ?? ''))
  return lines.flatMap((line, index) => (isIgnored(index) ? [] : [[line, index + 1] as const]))
}

/**
 * Returns the import targets of a file with their lines; relative ones as paths from the root.
 * Files that a worker thread starts with (`new URL('./x.ts'`) are no imports.
 */
function importsOf(
  file: File,
  pattern = importPattern,
): readonly { readonly target: string; readonly line: number }[] {
  return [...file.text.matchAll(pattern)].map((match) => {
    const name = match.slice(1).find((group) => group !== undefined) ?? ''
    const line = file.text.slice(0, match.index + match[0].length).split('\n').length
    const target = name.startsWith('.') ? normalize(join(dirname(file.path), name)) : name
    return { target, line }
  })
}

export const rules = {
  'root and src hold only the entries listed here': (files) =>
    files.flatMap(({ path }) => {
      const [first = '', second = ''] = path.split('/')
      if (!rootEntries.has(first))
        return [`${path}: the root has no place for it; add it to this list or move it`]
      if (first !== 'src' || /^(main|config)[\w.-]*\.ts$/.test(second)) return []
      return ranking.includes(second) ? [] : [`${path}: src/${second} is no part`]
    }),

  'imports follow the ranking': (files) =>
    sources(files).flatMap((file) =>
      importsOf(file).flatMap(({ target, line }) => {
        const at = `${file.path}:${line}`
        const [own, other] = [partOf(file.path) ?? '', partOf(target) ?? '']
        const isEdge = ['main', 'command'].includes(own)
        if (target.startsWith('src/') && !isEdge && ranking.indexOf(other) > ranking.indexOf(own)) {
          return [`${at}: ${own} is below ${other}; declare the small interface it needs`]
        }
        const technology = adapterPattern.exec(basename(target))?.[1]
        const isSame = technology !== undefined && basename(file.path).startsWith(technology)
        if (technology !== undefined && target.startsWith('src/') && !isEdge && !isSame) {
          return [
            `${at}: an adapter is imported only by main.ts, command/ and tests; take the port`,
          ]
        }
        if (other === 'catcher' && own !== 'catcher' && !isEdge) {
          return [`${at}: the catcher is imported only by main.ts, command/ and tests`]
        }
        const isPure = ['event', 'segment', 'recommend', 'experiment'].includes(own)
        if (isPure && target.startsWith('node:'))
          return [`${at}: ${own} runs without node; no ${target}`]
        const library = clientLibraries.find(([name]) => name.test(target))
        if (library === undefined || isEdge || library[1].test(file.path)) return []
        return [`${at}: ${target} has another place: ${library[1].source}`]
      }),
    ),

  'imports have no cycle': (files) => {
    const graph = new Map(
      sources(files).map((file) => [file.path, importsOf(file).map(({ target }) => target)]),
    )
    const done = new Set<string>()
    const walk = (path: string, trail: readonly string[]): readonly string[] => {
      if (trail.includes(path))
        return [`${[...trail.slice(trail.indexOf(path)), path].join(' -> ')}: a cycle`]
      if (done.has(path)) return []
      const found = (graph.get(path) ?? []).flatMap((target) => walk(target, [...trail, path]))
      done.add(path)
      return found
    }
    return [...graph.keys()].flatMap((path) => walk(path, []))
  },

  'banned text has a replacement': (files) =>
    files
      .filter(({ path }) => isCode(path) && !path.startsWith('test/tidy'))
      .flatMap((file) =>
        linesOf(file).flatMap(([line, number]) => {
          const isComment = /^\s*(\*|\/\*|\/\/)/.test(line)
          const found = banned.filter(
            ([text, where, but]) =>
              text.test(line) && where.test(file.path) && !but.test(file.path),
          )
          return found
            .filter(([text]) => !isComment || /TODO|@ts-/.test(text.source))
            .map(
              ([text, , , instead]) =>
                `${file.path}:${number}: ${text.exec(line)?.[0]} is banned here, ${instead}`,
            )
        }),
      ),

  'JSON is parsed only in parsers': (files) =>
    sources(files).flatMap((file) =>
      linesOf(file).flatMap(([line, number]) => {
        if (!/\bJSON\.parse\(/.test(line) || /^\s*(\*|\/\/)/.test(line)) return []
        const before = file.text.split('\n').slice(0, number).reverse()
        const header = before.find((each) =>
          /\bfunction\b|^ {2}(async |static )*#?\w+(<.*>)?\(.*\{$/.test(each),
        )
        if (/\b#?(parse|decode|load|read)\w*/i.test(header ?? '')) return []
        return [`${file.path}:${number}: JSON.parse( is banned here, call a parseX or decodeX`]
      }),
    ),

  'files have at most 400 lines of at most 100 columns': (files) =>
    files
      .filter(({ path }) => isCode(path))
      .flatMap((file) => {
        const count = file.text.split('\n').length - 1
        const long = linesOf(file).filter(
          ([line]) => line.length > 100 && !/https?:\/\/\S+/.test(line),
        )
        const lines = long.map(([, number]) => `${file.path}:${number}: over 100 columns; break it`)
        return count > 400 ? [`${file.path}: ${count} lines; split it`, ...lines] : lines
      }),

  'each port has a contract, and each adapter a test that calls it': (files) => {
    const paths = new Set(files.map(({ path }) => path))
    const ports = sources(files).filter(({ text }) =>
      /^ \* Contract, checked for every adapter/m.test(text),
    )
    return ports.flatMap(({ path }) => {
      const contract = path.replace(/\.ts$/, '.contract.ts')
      if (!paths.has(contract)) return [`${path}: write its promises as ${contract}`]
      const ending = `-${basename(path)}`
      const adapters = [...paths].filter(
        (each) =>
          dirname(each) === dirname(path) &&
          each.endsWith(ending) &&
          adapterPattern.test(basename(each)),
      )
      const isTested = (adapter: string) =>
        files.some(
          (file) =>
            file.path.startsWith(adapter.replace(/ts$/, '')) &&
            /[.-]test\.ts$/.test(file.path) &&
            importsOf(file).some(({ target }) => target === contract),
        )
      return adapters
        .filter((adapter) => !isTested(adapter))
        .map((adapter) => `${adapter}: call ${contract} in its test`)
    })
  },

  'each file of src is used': (files) => {
    const used = new Set(files.flatMap((file) => (isCode(file.path) ? usedBy(file) : [])))
    return sources(files)
      .filter(({ path }) => !used.has(path) && partOf(path) !== 'main')
      .map(({ path }) => `${path}: nothing but its own test imports it; use it or delete it`)
  },

  'each error code, metric and option is used and in docs/reference': (files) => {
    const code = files.filter(({ path }) => path.startsWith('src/') && !isTest(path))
    const docs = files.filter(({ path }) => path.startsWith('docs/reference/'))
    const table = /^src\/(lib\/(errors|metrics)|config)\.ts$/
    const users = code.filter(({ path }) => !table.test(path)).map(({ text }) => text)
    const pages = docs.map(({ text }) => text).join('\n')
    const names = [
      ...Object.keys(catalog),
      ...Object.keys(metricTable),
      ...Object.keys(serverTable),
    ]
    return names.flatMap((name) => {
      const isUsed = users.some((text) => text.includes(`'${name}'`) || text.includes(`.${name}`))
      const unused = isUsed
        ? []
        : [`${name}: nothing in src uses it; use it or take it out of its table`]
      if (pages.includes(`\`${name}\``)) return unused
      return [...unused, `${name}: not in docs/reference; run node scripts/make-reference.ts`]
    })
  },

  'words are those of the glossary': (files) =>
    sources(files).flatMap((file) =>
      linesOf(file).flatMap(([line, number]) =>
        words
          .filter(([word, where]) => where.test(file.path) && word.test(line))
          .map(
            ([word, , instead]) => `${file.path}:${number}: ${word.exec(line)?.[0]}: ${instead}`,
          ),
      ),
    ),

  'each Markdown file has one title and links that resolve': (files) =>
    files
      .filter(({ path }) => path.endsWith('.md'))
      .flatMap(({ path, text }) => {
        const prose = text.replace(/^(```|~~~)[\s\S]*?^\1/gm, '').replace(/`[^`\n]*`/g, '')
        const titles = prose.match(/^# .+/gm)?.length ?? 0
        const faults =
          titles === 1 ? [] : [`${path}: has ${titles} titles; one line begins with "# "`]
        const links = [...prose.matchAll(/\]\(([^)\s#]+)[^)]*\)/g)].map((match) => match[1] ?? '')
        const isDead = (link: string) =>
          !/^[a-z]+:/.test(link) && !existsSync(join(root, dirname(path), decodeURI(link)))
        return [...faults, ...links.filter(isDead).map((link) => `${path}: ${link} is not there`)]
      }),

  'source is ASCII': (files) =>
    files
      .filter(
        ({ path }) =>
          /\.(ts|tsx|js|mjs|json|jsonc|sh|css)$/.test(path) && !path.startsWith('test/fixtures/'),
      )
      .filter(({ path }) => !isTest(path) && !path.startsWith('examples/'))
      .flatMap((file) =>
        linesOf(file)
          .filter(([line]) => /[^\t -~]/.test(line))
          .map(([, number]) => `${file.path}:${number}: not ASCII; write it as \\u{...}`),
      ),
} as const satisfies Record<string, Rule>

/** Returns the TypeScript of `src` that is neither a test nor a contract. */
function sources(files: readonly File[]): readonly File[] {
  return files.filter(
    ({ path }) => path.startsWith('src/') && path.endsWith('.ts') && !isTest(path),
  )
}

/** Returns what a file imports, without what it is the test of. */
function usedBy(file: File): readonly string[] {
  const own = file.path.replace(/(\.[\w-]+)?[.-]test\.ts$/, '.ts')
  const isOwn = (target: string) =>
    isTest(file.path) && target === own && !adapterPattern.test(basename(own))
  return importsOf(file, usePattern).flatMap(({ target }) => (isOwn(target) ? [] : [target]))
}

/** Reads every file that git knows or would add. */
export function readTree(): readonly File[] {
  const listed = execFileSync(
    'git',
    ['ls-files', '-z', '--cached', '--others', '--exclude-standard'],
    {
      cwd: root,
      encoding: 'utf8',
      maxBuffer: 64 * 1024 * 1024,
    },
  )
  const isText = (path: string) =>
    /\.(ts|tsx|js|mjs|json|jsonc|md|sh|css|html|yaml|mjml|liquid)$/.test(path)
  return [...new Set(listed.split('\0'))]
    .filter((path) => path !== '' && existsSync(root + path) && statSync(root + path).isFile())
    .map((path) => ({ path, text: isText(path) ? readFileSync(root + path, 'utf8') : '' }))
}
