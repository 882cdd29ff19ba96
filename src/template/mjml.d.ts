/** The small part of MJML 5 that we call; the package has no types of its own. */
declare module 'mjml' {
  interface MjmlFault {
    readonly line: number
    readonly message: string
    readonly tagName: string
  }
  interface MjmlOptions {
    readonly validationLevel: 'strict' | 'soft' | 'skip'
    readonly ignoreIncludes: boolean
    readonly keepComments: boolean
    readonly fonts: Readonly<Record<string, string>>
  }
  export default function mjml2html(
    source: string,
    options: MjmlOptions,
  ): Promise<{ readonly html: string; readonly errors: readonly MjmlFault[] }>
}
