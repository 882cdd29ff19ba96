/**
 * The image, without an engine for containers: what `.dockerignore` lets through is laid out as the
 * Dockerfile says, in a folder that cannot be written, and started as the image's user and as
 * process 1. Not shown by this: that the base image is as we take it to be.
 */

import assert from 'node:assert/strict'
import {
  chmodSync,
  chownSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { after, before, describe, it, type TestContext } from 'node:test'
import { fileURLToPath } from 'node:url'
import { renderFolder } from '../../scripts/deploy-render.ts'
import { freePorts } from '../../scripts/service.ts'
import { systemClock } from '../../src/lib/clock.ts'
import { configValue } from './deploy-config.ts'
import {
  copiesOf,
  filesForBuild,
  lastOf,
  parseDockerfile,
  parseExec,
  parseIgnoreFile,
} from './dockerfile.ts'
import { type ImageProcess, startImage, untilAnswers, wrapperOf } from './image-process.ts'
import { configOf, objectAt, workloadsOf } from './manifest-view.ts'

const root = fileURLToPath(new URL('../..', import.meta.url))
const readRoot = (path: string): string => readFileSync(join(root, path), 'utf8')
const file = parseDockerfile(readRoot('Dockerfile'))
const isSent = parseIgnoreFile(readRoot('.dockerignore'))
const sent = filesForBuild(root, isSent)
const packageFile = JSON.parse(readRoot('package.json')) as {
  readonly version: string
  readonly scripts: Readonly<Record<string, string>>
  readonly dependencies: Readonly<Record<string, string>>
  readonly devDependencies: Readonly<Record<string, string>>
}
const startMsMax = 120_000
/** An idle server stops within a second; here others may have the cores. */
const stopMsMax = 30_000

describe('what goes into the image', () => {
  it('is the program, and no test, data or secret', () => {
    for (const path of ['src/main.ts', 'bin/attune.js', 'package-lock.json', 'LICENSE']) {
      assert.ok(sent.includes(path), path)
    }
    const folders = /^(?:(?:src|bin|sdk|web|examples\/shop)\/|package|LICENSE)/
    const strange = sent.filter(
      (path) => !folders.test(path) || /test\.ts$|\.(contract|fixture)\.ts$/.test(path),
    )
    assert.deepEqual(strange, [])
    const never = ['.git/config', '.attune/secrets.json', 'data/keys.json', 'node_modules/a/b.js']
    const others = ['src/x.test.ts', 'examples/shop/.attune/secrets.json', '.env', 'examples/y']
    assert.deepEqual([...never, ...others].filter(isSent), [])
  })

  it('is what the Dockerfile copies, all of it', () => {
    const copied = copiesOf(file).flatMap(({ sources }) => sources)
    for (const source of copied) {
      const isIn = sent.some((path) => path === source || path.startsWith(`${source}/`))
      assert.ok(isIn, `${source} is copied but not let through`)
    }
    const left = sent.filter(
      (path) => !copied.some((source) => path === source || path.startsWith(`${source}/`)),
    )
    assert.deepEqual(left, [], 'let through but not copied')
  })

  it('imports only packages that are installed in it', () => {
    const from = /(?:^|\n)\s*(?:import|export)\b[^'"`;]*?from '([^']+)'|\bimport\('([^']+)'\)/g
    const packages = sent
      .filter((path) => /^(src|bin|examples)\/.*\.(ts|js)$/.test(path))
      .flatMap((path) => [...readRoot(path).matchAll(from)].map((match) => match[1] ?? match[2]))
      .filter((name): name is string => name !== undefined && !/^(\.|node:)/.test(name))
      .map((name) => /^(@[^/]+\/)?[^/]+/.exec(name)?.[0] ?? name)
    assert.ok(packages.includes('fastify'))
    assert.deepEqual(
      [...new Set(packages)].filter((name) => !Object.hasOwn(packageFile.dependencies, name)),
      [],
    )
  })
})

describe('the Dockerfile', () => {
  it('takes the Node of the tests, and says the version of the package', () => {
    const [, version] = /^NODE_IMAGE=node:([\d.]+)-\w+-slim$/.exec(lastOf(file, 'ARG')) ?? []
    assert.equal(version, packageFile.devDependencies['node'])
    assert.match(lastOf(file, 'LABEL'), new RegExp(`image.version="${packageFile.version}"`))
  })

  it('installs what the lock says, runs as a number that is not root, without a shell', () => {
    const installs = file.filter(({ name, rest }) => name === 'RUN' && rest.startsWith('npm '))
    assert.match(installs[0]?.rest ?? '', /^npm ci --omit=dev --ignore-scripts\b/)
    assert.match(lastOf(file, 'USER'), /^[1-9]\d*:[1-9]\d*$/)
    assert.equal(lastOf(file, 'STOPSIGNAL'), 'SIGTERM')
    const entry = ['node', '--max-semi-space-size=16', '/app/src/main.ts']
    assert.deepEqual(parseExec(lastOf(file, 'ENTRYPOINT')), entry)
    const [, ...words] = entry
    assert.equal(packageFile.scripts['attune'], `node ${words.join(' ').replace('/app/', '')}`)
    assert.equal(parseExec(lastOf(file, 'CMD'))[0], 'start')
    const stage = file.slice(file.findLastIndex(({ name }) => name === 'FROM'))
    assert.deepEqual(
      stage.filter(({ name }) => ['RUN', 'ADD', 'SHELL'].includes(name)),
      [],
    )
  })

  it('agrees with the manifests on user, port and folders', () => {
    const flag = (name: string): string | undefined => {
      const words = parseExec(lastOf(file, 'CMD'))
      return words[words.indexOf(name) + 1]
    }
    const derived = parseDockerfile(readRoot('deploy/definitions.Dockerfile'))
    const definitionsDir = copiesOf(derived)[0]?.target
    assert.deepEqual(parseExec(lastOf(derived, 'CMD')), [
      ...parseExec(lastOf(file, 'CMD')),
      '--definitions',
      definitionsDir,
    ])
    for (const overlay of readdirSync(join(root, 'deploy/kubernetes/overlays'))) {
      const manifests = renderFolder(join(root, 'deploy/kubernetes/overlays', overlay))
      const value = (name: string): unknown => configValue(configOf(manifests), name)
      assert.equal(value('server.host'), flag('--host'))
      if (overlay === 'single') assert.equal(value('server.dataDir'), flag('--data-dir'))
      assert.equal(value('server.definitionsDir'), definitionsDir)
      for (const { pod, container } of workloadsOf(manifests)) {
        const { runAsUser, runAsGroup } = objectAt(pod, 'securityContext')
        assert.equal(`${runAsUser}:${runAsGroup}`, lastOf(file, 'USER'))
        assert.equal(
          String(objectAt(container, 'ports.0')['containerPort']),
          lastOf(file, 'EXPOSE'),
        )
      }
    }
  })

  it('leaves the options to the configuration file, over which variables would win', () => {
    const names = [...file, ...parseDockerfile(readRoot('deploy/definitions.Dockerfile'))]
      .filter(({ name }) => name === 'ENV')
      .map(({ rest }) => rest)
    assert.doesNotMatch(names.join(' '), /ATTUNE_/)
  })
})

it('refuses a pattern that it does not know, and lets the last line decide', () => {
  assert.throws(() => parseIgnoreFile('src/[ab]'), /not known here/)
  const isKept = parseIgnoreFile('# all\n*\n!src\n**/*.test.ts\n!a/b\n')
  const paths = ['src/a.ts', 'src/a/b.ts', 'src/a.test.ts', 'srcs', 'a/b/c', 'a/c', 'x.test.ts']
  assert.deepEqual(paths.filter(isKept), ['src/a.ts', 'src/a/b.ts', 'a/b/c'])
})

describe('the image runs', () => {
  const folder = mkdtempSync(join(tmpdir(), 'attune-image-'))
  const app = join(folder, 'app')
  const user = Number(lastOf(file, 'USER').split(':')[0])
  const wrapper = wrapperOf(user, join(root, 'node_modules/yaml/package.json'))
  /** As the image: its folders are elsewhere here. */
  const inPlace = (text: string): string =>
    text
      .replaceAll('/var/lib/attune', join(folder, 'data'))
      .replaceAll('/etc/attune', join(folder, 'etc'))
      .replace(/^\/app\b/, app)
      .replace(/^node$/, process.execPath)

  before(() => layOut(app, folder, wrapper.some((word) => word.startsWith('--reuid')) ? user : 0))
  after(() => rmSync(folder, { recursive: true, force: true }))

  const entry = parseExec(lastOf(file, 'ENTRYPOINT')).map(inPlace)
  const baseEnvironment = Object.fromEntries(
    Object.entries(environmentOf(file)).map(([name, value]) => [name, inPlace(value)]),
  )

  it('as process 1, and as a user who cannot write its files', async (t) => {
    const say = [process.execPath, '-p', 'process.pid + ":" + process.getuid()']
    const who = startImage(wrapper, { command: say, environment: {}, folder })
    assert.equal(await who.ended, 0, who.said())
    t.diagnostic(`process and user: ${who.said().trim()}`)
    if (wrapper.length > 0) assert.match(who.said(), new RegExp(`^1:(${user}|0)\n`))
    const write = `fs.writeFileSync('${app}/src/x.ts', '')`
    const command = [process.execPath, '-e', write]
    const run = startImage(wrapper, { command, environment: {}, folder })
    assert.notEqual(await run.ended, 0)
    assert.match(run.said(), /EACCES|EROFS/)
  })

  it('and helps', async () => {
    for (const words of [['start', '--help'], ['--help']]) {
      const command = [...entry, ...words]
      const run = startImage(wrapper, { command, environment: baseEnvironment, folder })
      assert.equal(await run.ended, 0, run.said())
      assert.match(run.said(), /Usage: attune/)
    }
  })

  it('validates definitions as the build of a derived image does', async () => {
    const derived = parseDockerfile(readRoot('deploy/definitions.Dockerfile'))
    const check = parseExec(lastOf(derived, 'RUN')).map(inPlace)
    const run = startImage(wrapper, { command: check, environment: baseEnvironment, folder })
    assert.equal(await run.ended, 0, run.said())
    assert.match(run.said(), /Valid/)
  })

  it('serves as it is, is healthy, and ends within the time to stop', async (t) => {
    const environment = { ...baseEnvironment, ATTUNE_SERVER__PORT: String(await freePort()) }
    const command = [...entry, ...parseExec(lastOf(file, 'CMD')).map(inPlace)]
    const before = filesBelow(app)
    await serveAndStop(t, { command, environment, folder })
    assert.deepEqual(filesBelow(app), before, 'nothing was written beside the program')
  })

  it('serves as the pod of the overlay `single`', async (t) => {
    const manifests = renderFolder(join(root, 'deploy/kubernetes/overlays/single'))
    const [pod] = workloadsOf(manifests)
    assert.ok(pod !== undefined)
    writeFileSync(join(folder, 'etc/config/attune.jsonc'), inPlace(configOf(manifests)))
    const own = Object.entries(pod.env).map(([name, value]) => [name, inPlace(value)])
    const environment = {
      ...baseEnvironment,
      ...(Object.fromEntries(own) as Record<string, string>),
      ATTUNE_SERVER__PORT: String(await freePort()),
    }
    const words = pod.container['args'] as readonly string[]
    await serveAndStop(t, { command: [...entry, ...words], environment, folder })
  })

  async function serveAndStop(
    t: TestContext,
    given: Parameters<typeof startImage>[1],
  ): Promise<void> {
    const server = startImage(wrapper, given)
    t.after(() => end(server))
    const url = `http://127.0.0.1:${given.environment['ATTUNE_SERVER__PORT']}`
    await untilAnswers(server, `${url}/healthz`, startMsMax)
    await untilAnswers(server, `${url}/readyz`, startMsMax)
    const check = parseExec(lastOf(file, 'HEALTHCHECK').replace(/^.*? CMD /, '')).map(inPlace)
    const healthy = startImage(wrapper, { ...given, command: check })
    assert.equal(await healthy.ended, 0, healthy.said())
    const startedAtMs = systemClock.monotonicMs()
    process.kill(server.pid(), 'SIGTERM')
    assert.equal(await server.ended, 0, server.said())
    const tookMs = systemClock.monotonicMs() - startedAtMs
    assert.ok(tookMs <= stopMsMax, `${tookMs} ms`)
    const gone = startImage(wrapper, { ...given, command: check })
    assert.equal(await gone.ended, 1, 'the health check fails where nobody answers')
  }
})

/** Lays out what the image holds, and the folders that are mounted. */
function layOut(app: string, folder: string, user: number): void {
  for (const { sources, target } of copiesOf(file)) {
    for (const path of sent) {
      const source = sources.find((each) => path === each || path.startsWith(`${each}/`))
      if (source === undefined) continue
      const inFolder = path === source ? path : path.slice(source.length + 1)
      const to = join(app, target, inFolder)
      mkdirSync(dirname(to), { recursive: true })
      copyFileSync(join(root, path), to)
    }
  }
  symlinkSync(join(root, 'node_modules'), join(app, 'node_modules'))
  for (const each of [...filesBelow(app), '']) {
    const path = join(app, each)
    if (!each.startsWith('node_modules'))
      chmodSync(path, statSync(path).isDirectory() ? 0o555 : 0o444)
  }
  mkdirSync(join(folder, 'data'), { mode: 0o700 })
  for (const each of ['config', 'secrets'])
    mkdirSync(join(folder, 'etc', each), { recursive: true })
  symlinkSync(join(app, 'examples/shop'), join(folder, 'etc/definitions'))
  writeFileSync(join(folder, 'etc/secrets/smtp-url'), 'smtp://127.0.0.1:9')
  chmodSync(folder, 0o755)
  if (user > 0) chownSync(join(folder, 'data'), user, user)
}

function filesBelow(folder: string): readonly string[] {
  const skipped = /^node_modules\//
  const all = readdirSync(folder, { recursive: true, encoding: 'utf8' })
  return all.filter((path) => !skipped.test(path)).toSorted()
}

function environmentOf(instructions: typeof file): Readonly<Record<string, string>> {
  const pairs = lastOf(instructions, 'ENV')
    .split(' ')
    .map((pair) => pair.split('='))
  return Object.fromEntries(pairs) as Record<string, string>
}

async function freePort(): Promise<number> {
  const [port] = await freePorts(1)
  return port ?? 0
}

function end(server: ImageProcess): void {
  if (server.child.exitCode !== null || !existsSync(`/proc/${server.child.pid}`)) return
  server.child.kill('SIGKILL')
}
