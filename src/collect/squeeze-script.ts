/**
 * Takes comments and needless white space out of a script of our own, so that it can be written for
 * people and sent to browsers as it is, without a step that builds it.
 *
 * Texts, templates and patterns are copied as they are. A line end stays where it may end a
 * statement. It does not read JavaScript as a whole: a template inside a template, or a pattern
 * behind a closing bracket or a word, would be read wrong. So it is for the scripts in `sdk/`
 * alone, whose tests run what comes out.
 */

const tokens = new RegExp(
  [
    /(?<comment>\/\/.*|\/\*[\s\S]*?\*\/)/,
    /(?<literal>'(?:[^'\\\n]|\\.)*'|"(?:[^"\\\n]|\\.)*"|`(?:[^`\\]|\\.)*`)/,
    /(?<pattern>(?<=[=(,:?]\s?)\/(?:[^/\\\n[]|\\.|\[(?:[^\]\\\n]|\\.)*\])+\/[a-z]*)/,
    /(?<space>\s+)/,
    /(?<word>[\w$]+)/,
    /(?<sign>[\s\S])/,
  ]
    .map(({ source }) => source)
    .join('|'),
  'g',
)

/** Returns the script, shorter, with the same meaning. */
export function squeezeScript(text: string): string {
  let squeezed = ''
  let space = ''
  for (const { 0: token, groups = {} } of text.matchAll(tokens)) {
    if (groups['comment'] !== undefined) continue
    if (groups['space'] !== undefined) {
      if (space !== '\n') space = token.includes('\n') ? '\n' : ' '
      continue
    }
    if (isNeeded(space, squeezed.slice(-1), token.charAt(0))) squeezed += space
    squeezed += token
    space = ''
  }
  return `${squeezed}\n`
}

/** Tells whether what stands on both sides would mean something else without the space. */
function isNeeded(space: string, before: string, after: string): boolean {
  if (space === '\n') return !/[{([,;]|^$/.test(before) && !/[})\].,]/.test(after)
  const isWord = /[\w$'"`]/.test(before) && /[\w$'"`]/.test(after)
  return isWord || (/[+-]/.test(before) && before === after)
}
