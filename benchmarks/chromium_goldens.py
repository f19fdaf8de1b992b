"""Takes the goldens anew: what Chromium's own ImageDecoder makes of the corpus.

    python benchmarks/chromium_goldens.py [--browser chromium] [CLIP ...]

Needs a Chromium; writes `tests/clips/chromium.npz`, with the clips named added to its own. Each
clip goes through `ImageDecoder`, and each frame is drawn on a white canvas. The file holds, by
clip, its bytes as `NAME/file`, `NAME` uint8 `(N, H, W, 3)` and `NAME/ms` int32 `(N,)`, and the
browser's version as `browser`. A clip that Chromium refuses has no frames; one that it shows up to
a fault has those before it. Names of WebPs begin with "webp", those of APNGs with "apng".
"""

import argparse
import base64
import http.server
import json
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests"))
PAGE = """<!doctype html><script>
const base64 = bytes => { let s = ''; for (const b of bytes) s += String.fromCharCode(b);
                          return btoa(s); };
async function decode(name) {
  const data = await (await fetch('/clip/' + name)).arrayBuffer();
  const result = {name, frames: [], ms: [], error: null};
  try {
    const type = name.startsWith('webp') ? 'image/webp'
               : name.startsWith('apng') ? 'image/png' : 'image/gif';
    const decoder = new ImageDecoder({data, type});
    await decoder.completed;
    await decoder.tracks.ready;
    const count = decoder.tracks.selectedTrack.frameCount;
    result.count = count;
    for (let frameIndex = 0; frameIndex < count; frameIndex++) {
      const {image} = await decoder.decode({frameIndex});
      const [w, h] = [image.displayWidth, image.displayHeight];
      const context = new OffscreenCanvas(w, h).getContext('2d', {alpha: false});
      context.fillStyle = 'white';
      context.fillRect(0, 0, w, h);
      context.drawImage(image, 0, 0);
      const rgba = context.getImageData(0, 0, w, h).data;
      result.frames.push(base64(rgba.filter((_, n) => n % 4 < 3)));
      result.ms.push(image.duration / 1000);
      result.size = [w, h];
      image.close();
    }
  } catch (error) { result.error = String(error); }
  await fetch('/result', {method: 'POST', body: JSON.stringify(result)});
}
(async () => {
  for (const name of await (await fetch('/names')).json()) await decode(name);
  await fetch('/done', {method: 'POST', body: navigator.userAgent});
})();
</script>"""


def take(clips: dict[str, bytes], browser: str) -> tuple[list[dict], str]:
    """Runs the page in a headless browser: a result a clip, and the browser's version."""
    results, done = [], threading.Event()

    class Handler(http.server.BaseHTTPRequestHandler):
        def _send(self, body: bytes, kind: str = "application/octet-stream"):
            self.send_response(200)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def do_GET(self):
            if self.path.startswith("/clip/"):
                self._send(clips[self.path[6:]])
            elif self.path == "/names":
                self._send(json.dumps(list(clips)).encode())
            else:
                self._send(PAGE.encode(), "text/html")

        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            self._send(b"")
            if self.path == "/done":
                done.set()
            else:
                results.append(json.loads(body))

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{server.server_port}/"
    with tempfile.TemporaryDirectory() as profile:
        options = ["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run"]
        options += ["--disable-background-networking", f"--user-data-dir={profile}"]
        process = subprocess.Popen([browser, *options, address], stderr=subprocess.DEVNULL)
        finished = done.wait(timeout=300)
        process.terminate()
        process.wait()
    server.shutdown()
    if not finished:
        raise SystemExit(f"expected {len(clips)} results. Received: {len(results)}")
    version = subprocess.run([browser, "--version"], capture_output=True, text=True).stdout
    return results, version.strip()


def main() -> None:
    from helpers.clips import GOLDENS, corpus

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("files", nargs="*", metavar="CLIP", type=Path)
    parser.add_argument("--browser", default="chromium")
    args = parser.parse_args()
    clips = corpus() | {file.stem: file.read_bytes() for file in args.files}
    results, version = take(clips, args.browser)
    arrays = {"browser": np.array(version)}
    for name, data in clips.items():
        arrays[name + "/file"] = np.frombuffer(data, np.uint8)
    for result in results:
        width, height = result.get("size", (0, 0))
        frames = b"".join(base64.b64decode(frame) for frame in result["frames"])
        pixels = np.frombuffer(frames, np.uint8)
        arrays[result["name"]] = pixels.reshape(len(result["frames"]), height, width, 3)
        arrays[result["name"] + "/ms"] = np.array(result["ms"], np.float64).round().astype(np.int32)
        if result["error"]:
            print(f"{result['name']}: {len(result['frames'])} frames, then {result['error']}")
    np.savez_compressed(GOLDENS, **arrays)
    print(f"{version}: {len(results)} clips, {GOLDENS.stat().st_size:,} bytes in {GOLDENS}")


if __name__ == "__main__":
    main()
