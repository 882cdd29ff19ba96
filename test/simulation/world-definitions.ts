/** What is fixed in every simulated world: its size, its length, its keys. */

import type { SigningKeys } from '../../src/template/links.ts'

export const workspace = 'default'
export const partitionCount = 3
export const personCount = 50
export const startMs = Date.UTC(2026, 0, 5)
export const secondMs = 1000
export const minuteMs = 60 * secondMs
export const hourMs = 60 * minuteMs
export const dayMs = 24 * hourMs
export const lengthMs = 30 * dayMs
export const addressSecret = new Uint8Array(32).fill(5)
export const signingKeys: SigningKeys = {
  currentId: 'k1',
  keys: new Map([['k1', new Uint8Array(32).fill(7)]]),
}
