import { assert, describe, it } from "@effect/vitest"
import * as Text from "../../src/cli/text.ts"

type Color = readonly [red: number, green: number, blue: number]

/** A colour of the cube that terminals have from 16 on. */
const colorOf = (index: number): Color => {
  const level = (part: number) => [0, 95, 135, 175, 215, 255][part % 6]!
  return [level(Math.floor((index - 16) / 36)), level(Math.floor((index - 16) / 6)), level(index - 16)]
}

const luminanceOf = (color: Color): number => {
  const [red = 0, green = 0, blue = 0] = color
    .map((part) => part / 255)
    .map((part) => (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4))
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue
}

/** As WCAG 2 defines it. */
const contrastOf = (one: Color, other: Color): number => {
  const [dark = 0, light = 0] = [luminanceOf(one), luminanceOf(other)].toSorted((a, b) => a - b)
  return (light + 0.05) / (dark + 0.05)
}

const backgrounds: Readonly<Record<string, Color>> = {
  black: [0, 0, 0],
  white: [255, 255, 255],
  "the dark of editors": [0x1e, 0x1e, 0x1e],
  "Solarized dark": [0x00, 0x2b, 0x36],
  "Solarized light": [0xfd, 0xf6, 0xe3]
}

describe("colours of the command", () => {
  for (const [theme, background] of Object.entries(backgrounds)) {
    it(`can be read on ${theme}`, () => {
      for (const [name, index] of Object.entries(Text.colors)) {
        assert.isAtLeast(contrastOf(colorOf(index), background), 3, name)
      }
    })
  }
})
