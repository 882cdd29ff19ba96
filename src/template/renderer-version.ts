/**
 * Names the code that turns a `RenderInput` into bytes. It is part of the stored input: another
 * version may give other bytes, and whoever renders again compares. Raise it with every change
 * that can change a byte.
 */
export const rendererVersion = '1'
