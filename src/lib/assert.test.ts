import nodeAssert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { assert, unreachable } from './assert.ts'

describe('assertions', () => {
  it('pass in silence when the belief holds', () => {
    for (const value of [true, 1, 'x', {}]) assert(value, 'the value is there')
  })

  it('throw with the belief when it does not hold', () => {
    for (const value of [false, 0, '', null, undefined, Number.NaN]) {
      nodeAssert.throws(() => assert(value, 'the value is there'), {
        name: 'Error',
        message: 'broken belief: the value is there',
      })
    }
  })

  it('name the case that the types ruled out', () => {
    nodeAssert.throws(() => unreachable('late' as never), /no such case: "late"/)
  })
})
