/** How the services that are written in Java are started. */

export interface JavaServiceOptions {
  /**
   * It serves for minutes, as in a demo or a bench: what is hot is compiled in full, as in a real
   * one. A test is over before that pays.
   */
  readonly isLongLived?: boolean
}

/** Returns the flags of the virtual machine: a small heap, since several share a machine. */
export function javaFlags({ isLongLived = false }: JavaServiceOptions): readonly string[] {
  const quickStart = isLongLived ? [] : ['-XX:TieredStopAtLevel=1']
  return ['-Xmx256m', '-XX:+UseSerialGC', ...quickStart]
}
