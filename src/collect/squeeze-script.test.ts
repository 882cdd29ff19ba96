import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { squeezeScript } from './squeeze-script.ts'

describe('squeezeScript', () => {
  const cases: readonly (readonly [string, string, string])[] = [
    ['takes comments out', '/** a */ x = 1 // b\n// c\ny = /* d */ 2', 'x=1\ny=2'],
    ['leaves texts as they are', 'x = \'a  // b\' + "/* c */"', 'x=\'a  // b\'+"/* c */"'],
    ['leaves templates as they are', 'x = `a  b  + 1\n  // c`', 'x=`a  b  + 1\n  // c`'],
    ['leaves patterns as they are', 'x = /a  [/*] \\/ b/g.test( y )', 'x=/a  [/*] \\/ b/g.test(y)'],
    ['takes a division for none', 'x = (a + b) / 2 / c // d', 'x=(a+b)/2/c'],
    ['keeps words apart', "return  x in y; case 'a': new  Set", "return x in y;case 'a':new Set"],
    ['keeps signs apart', 'a - -b + +c - d', 'a- -b+ +c-d'],
    ['keeps line ends that end a statement', 'a = b\nc()\n\n;[d]\n', 'a=b\nc()\n;[d]'],
    ['takes the other line ends out', 'f(\n  a,\n  b,\n)\n  .c({\n  d,\n})', 'f(a,b,).c({d,})'],
  ]
  for (const [name, given, expected] of cases) {
    it(name, () => assert.equal(squeezeScript(given), `${expected}\n`))
  }
})
