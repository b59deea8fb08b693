// What a tool returned for the application: a picture, a table, a file, or else its JSON.
import { json, make } from "./dom.js"

const ROWS = 100
const COLUMNS = 12
const CHARACTERS = 20_000
// In an <img>, none of them can run a script or load anything, an SVG neither.
const PICTURES = new Set(["image/png", "image/jpeg", "image/gif", "image/webp", "image/svg+xml"])
const BASE64 = /^[A-Za-z0-9+/]*={0,2}$/

const urls = []

export function forgetArtifacts() {
  for (const url of urls.splice(0)) URL.revokeObjectURL(url)
}

export function artifact(value) {
  if (typeof value === "string") return text(value)
  if (isObject(value) && isBase64(value.base64)) {
    return PICTURES.has(value.mime_type) ? picture(value) : file(value)
  }
  if (Array.isArray(value) && value.length && value.every(isObject)) return table(value)
  return text(json(value, 2))
}

const isBase64 = (value) =>
  typeof value === "string" && value.length % 4 === 0 && BASE64.test(value)

const isObject = (value) => typeof value === "object" && value !== null && !Array.isArray(value)

function text(value) {
  return make("pre", "", shortened(value))
}

function shortened(value) {
  const more = value.length - CHARACTERS
  return more > 0 ? `${value.slice(0, CHARACTERS)}\n… ${more.toLocaleString("en")} more` : value
}

function picture({ mime_type: type, base64, extras }) {
  const image = make("img")
  image.src = `data:${type};base64,${base64}`
  image.alt = typeof extras?.alt === "string" ? extras.alt : "Picture without a description"
  return image
}

function table(rows) {
  const all = [...new Set(rows.slice(0, ROWS).flatMap((row) => Object.keys(row)))]
  const columns = all.slice(0, COLUMNS)
  const cell = (value) => {
    const isNumber = typeof value === "number" || typeof value === "bigint"
    const shown = typeof value === "object" ? json(value) : String(value ?? "")
    return make("td", isNumber ? "number" : "", shortened(shown))
  }
  const of = (row, column) => (Object.hasOwn(row, column) ? row[column] : "")
  const head = columns.map((column) => {
    const th = make("th", typeof of(rows[0], column) === "number" ? "number" : "", column)
    th.scope = "col"
    return th
  })
  const body = rows
    .slice(0, ROWS)
    .map((row) => make("tr", "", ...columns.map((column) => cell(of(row, column)))))
  const element = make("table", "", make("thead", "", make("tr", "", ...head)))
  element.append(make("tbody", "", ...body))
  const scroll = make("div", "scroll", element)
  scroll.tabIndex = 0
  scroll.role = "region"
  scroll.ariaLabel = `Table of ${rows.length} rows`
  const left = [
    [rows.length - ROWS, "rows"],
    [all.length - COLUMNS, "columns"],
  ].filter(([more]) => more > 0)
  if (left.length === 0) return scroll
  const note = left.map(([more, what]) => `${more.toLocaleString("en")} more ${what}`).join(", ")
  return make("div", "", scroll, make("p", "note", `… ${note}`))
}

function file({ mime_type: type, base64, filename, extras }) {
  const bytes = Uint8Array.from(atob(base64), (character) => character.charCodeAt(0))
  // Whatever the tool calls it: as a page of this origin, it might be more than a file.
  const url = URL.createObjectURL(new Blob([bytes], { type: "application/octet-stream" }))
  urls.push(url)
  const name = safeName(filename ?? extras?.filename ?? extras?.name)
  const link = make("a", "download", "Download")
  link.href = url
  link.download = name
  link.ariaLabel = `Download ${name}`
  const size = `${bytes.length.toLocaleString("en")} bytes`
  const what = make("span", "file-name", make("bdi", "", name), make("small", "", size))
  const card = make("div", "file", make("div", "file-head", what, link))
  if (typeof type === "string" && type.startsWith("text/")) {
    const preview = text(new TextDecoder().decode(bytes.subarray(0, 4 * CHARACTERS)))
    preview.tabIndex = 0
    card.append(preview)
  }
  return card
}

// A name is a name: no folder, nothing invisible (which can turn `cod.exe` into `exe.doc`), no dots
// in front.
export function safeName(name) {
  const last = String(name ?? "").split(/[/\\]/).at(-1)
  return last.replace(/[\p{C}\p{Z}]+/gu, " ").replace(/^[\s.]+|[\s.]+$/g, "").slice(0, 100) || "file"
}
