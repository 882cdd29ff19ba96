/** What commands say of a wrong use, before they do anything. */

import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { writeSmallShop } from '../faults/small-shop.ts'
import { runCommand } from './run-command.ts'

describe('a wrong use', () => {
  let folder = ''
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'attune-wrong-use-'))
  })
  after(() => rm(folder, { recursive: true, force: true }))

  it('validate names all faults at once', async () => {
    const definitionsDir = join(folder, 'shop')
    await writeSmallShop(definitionsDir)
    const good = await runCommand(['validate', definitionsDir])
    assert.equal(good.code, 0, good.stdout)
    const broken = join(folder, 'broken')
    await mkdir(join(broken, 'campaigns'), { recursive: true })
    await mkdir(join(broken, 'sources'))
    await writeFile(join(broken, 'campaigns/one.yaml'), 'name: one\nkind: parade\n')
    await writeFile(join(broken, 'sources/web.yaml'), 'name: 5\n')
    const { code, stdout } = await runCommand(['validate', broken])
    assert.equal(code, 1)
    assert.match(stdout, /campaigns\/one\.yaml/)
    assert.match(stdout, /sources\/web\.yaml/)
  })

  it('a configuration with several mistakes names all of them', async () => {
    const given = ['--port', '99999', '--public-url', 'mail.shop.example', '--from', 'nobody']
    const { code, stderr } = await runCommand(['start', ...given])
    assert.equal(code, 2)
    for (const flag of ['port', 'publicUrl', 'from']) assert.ok(stderr.includes(flag), stderr)
  })

  it('a folder that holds nothing is refused and not made', async () => {
    const dataDir = join(folder, 'nothing')
    const { code, stderr } = await runCommand(['events', '--data-dir', dataDir])
    assert.equal(code, 1)
    assert.match(stderr, /DATA_DIR_INVALID/)
    assert.ok(!existsSync(dataDir))
    const made = await runCommand(['init', '--data-dir', dataDir, '--partitions', '4'])
    assert.equal(made.code, 0)
    assert.ok(existsSync(join(dataDir, 'events.sqlite')))
  })

  it('wrong use has exit code 2', async () => {
    assert.equal((await runCommand(['explain', 'no-such-form'])).code, 2)
    assert.equal((await runCommand(['events', '--count', 'many'])).code, 2)
    assert.equal((await runCommand(['messages', '--state', 'lost'])).code, 2)
  })
})
