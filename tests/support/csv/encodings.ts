/** Texts in legacy encodings: the platform only reads them. */

const tables = new Map<string, Map<string, number[]>>();

/** Every character of an encoding with its bytes, found by decoding all pairs of bytes. */
function tableOf(encoding: string): Map<string, number[]> {
  const found = new Map<string, number[]>();
  const decoder = new TextDecoder(encoding);
  const take = (bytes: number[]) => {
    const text = decoder.decode(new Uint8Array(bytes));
    if ([...text].length === 1 && text !== "\ufffd" && !found.has(text)) found.set(text, bytes);
  };
  for (let byte = 0; byte < 256; byte++) take([byte]);
  for (let first = 0x81; first < 0xff; first++) for (let second = 0x40; second < 0xff; second++) take([first, second]);
  return found;
}

/** A text in an encoding. */
export function encoded(encoding: string, text: string): Uint8Array<ArrayBuffer> {
  if (!tables.has(encoding)) tables.set(encoding, tableOf(encoding));
  return Uint8Array.from(
    [...text].flatMap((character) => {
      const bytes = tables.get(encoding)!.get(character);
      if (!bytes) throw new Error(`${encoding} has no ${character}`);
      return bytes;
    }),
  );
}
