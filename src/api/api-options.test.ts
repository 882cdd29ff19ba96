import { deepStrictEqual, ok } from 'node:assert/strict'
import { totalmem } from 'node:os'
import { it } from 'node:test'
import { profileCacheBytesDefault } from './api-options.ts'

const mib = 1024 * 1024

it('keeps profiles in a 32nd of the memory, and at most 256 MiB', () => {
  const bounds = [1024, 4096, 8192, 65_536].map((memoryMib) =>
    profileCacheBytesDefault(memoryMib * mib),
  )
  deepStrictEqual(bounds, [32 * mib, 128 * mib, 256 * mib, 256 * mib])
  const here = profileCacheBytesDefault()
  ok(here > 0 && here <= totalmem() / 32, `${here} bytes on this machine`)
})
