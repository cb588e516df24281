r"""Times what a clip goes through, from its file to predictions.

  python scripts/bench_video.py --json=video.json
  python scripts/bench_video.py --parts=decode,mel --repeats=1

Each part runs --repeats times, in a process of its own; medians are printed:

  decode    frames a second, of 112 x 112 crops and of 640 x 480 (H.264)
  mel       seconds for the mel power of 10 s of sound, after the first time
  faces     images of 640 x 480 a second in which the detector finds a face
  network   images a second of ResNet18-112, 32 at a time
  whole     frames a second of a clip of 640 x 480 with one face: decoded, the
            face sought in every fifth frame, cut out and predicted
  step      how many times faster a step of the two-stream network is (batch 8,
            small form) than with XLA's convolution in three dimensions
  memory    MB that a process holds at most that reads an hour, frames and sound

The face is the photograph that comes with Matplotlib; weights are drawn, as
they decide no time. Clips are written first.
"""

import argparse
import fractions
import json
import os
import pathlib
import re
import statistics
import subprocess
import sys
import tempfile
import time

import numpy as np

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

RATE, FPS = 44100, 30
FRAMES, HOUR = 300, 3600
EVERY, BATCH = 5, 32  # The face is sought in one of so many frames.


def portrait(height, width, frame):
  """Returns uint8[height, width, 3]: a face that moves slowly, and noise."""
  import cv2
  import matplotlib.cbook

  file = matplotlib.cbook.get_sample_data('grace_hopper.jpg', asfileobj=False)
  photo = cv2.cvtColor(cv2.imread(str(file)), cv2.COLOR_BGR2RGB)
  side = round(height * 512 / 600)
  photo = cv2.resize(photo, (side, height), interpolation=cv2.INTER_AREA)
  canvas = np.full((height, width, 3), 90, np.uint8)
  shift = round((width - side) * (0.5 + 0.3 * np.sin(frame / 40)))
  canvas[:, shift : shift + side] = photo[:, :width]
  noise = np.random.default_rng(frame).integers(0, 9, canvas.shape, np.uint8)
  return canvas + np.minimum(noise, 255 - canvas)


def write(path, pictures, codec='h264', seconds=0):
  """Writes a clip, with a sound track where it is to last longer.

  Args:
    path: the file.
    pictures: uint8[N, H, W, 3].
    codec: of the pictures.
    seconds: 0: the pictures once; else again and again, so long, with sound.
  """
  import av

  ticks = fractions.Fraction(1, FPS)
  with av.open(str(path), 'w') as container:
    track = container.add_stream(codec, rate=FPS)
    track.height, track.width = pictures[0].shape[:2]
    track.pix_fmt = 'yuv420p'
    sound = container.add_stream('flac', rate=RATE) if seconds else None
    container.start_encoding()
    packets = []
    for number, pixels in enumerate([*pictures, None]):
      frame = pixels
      if pixels is not None:
        frame = av.VideoFrame.from_ndarray(pixels, format='rgb24')
        frame.pts, frame.time_base = number, ticks
      packets += track.encode(frame)
    if not seconds:
      container.mux(packets)
      return
    again = [(packet.pts, bytes(packet)) for packet in packets]
    for start in range(0, seconds * FPS, len(again)):
      _mux(container, track, again, start, ticks)
      _hum(container, sound, start * RATE // FPS, len(again) * RATE // FPS)
    container.mux(sound.encode(None))


def _mux(container, track, packets, start, ticks):
  """Writes packets again, `start` ticks later."""
  import av

  for pts, content in packets:
    packet = av.Packet(content)
    packet.stream, packet.time_base = track, ticks
    packet.pts = packet.dts = start + pts
    packet.is_keyframe = not pts
    container.mux(packet)


def _hum(container, track, start, count):
  """Writes a tone."""
  import av

  tone = 0.1 * np.sin(0.05 * np.arange(start, start + count))
  frame = av.AudioFrame.from_ndarray(
    np.round(tone * 2**15).astype(np.int16)[None], 's16', 'mono'
  )
  frame.sample_rate, frame.pts = RATE, start
  frame.time_base = fractions.Fraction(1, RATE)
  container.mux(track.encode(frame))


def decode(folder):
  """Frames a second of clips that are only decoded."""
  from aubal_jax.media import video

  found = {}
  for name in ('112x112', '640x480'):
    start = time.perf_counter()
    count = sum(1 for _ in video.frames(folder / f'{name}.mp4'))
    found[f'decode {name}, frames/s'] = count / (time.perf_counter() - start)
  return found


def mel(folder):
  """Seconds for 10 s of sound."""
  del folder
  from aubal_jax.media import spectrogram

  noise = np.random.default_rng(0).normal(size=10 * RATE).astype(np.float32)
  spectrogram.power(noise)
  start = time.perf_counter()
  spectrogram.window(spectrogram.power(noise), 5.0)
  return {'mel of 10 s, seconds': time.perf_counter() - start}


def network(folder):
  """Images a second."""
  del folder
  run, seconds = _predict(), []
  images = np.random.default_rng(0).integers(0, 256, (BATCH, 112, 112, 1), 'u1')
  for _ in range(6):
    start = time.perf_counter()
    run(images)
    seconds.append(time.perf_counter() - start)
  return {'network, images/s': BATCH / statistics.median(seconds[1:])}


def _predict():
  """Returns the function from images to probabilities, of drawn weights."""
  import bench_export
  import jax

  trained = bench_export.draw_bundle('resnet18_112', 112, 1)
  predict = trained.make_predict(jax.local_devices(backend='cpu')[:1])
  return lambda images: np.asarray(predict({'image': images})['labels'])


def faces(folder):
  """Images a second in which the detector finds a face."""
  from aubal_jax.media import crop
  from aubal_jax.media import video

  find, seconds = crop.make_find('mtcnn'), []
  for frame in video.frames(folder / '640x480.mp4', every=10):
    start = time.perf_counter()
    found = crop.all_faces(find, frame.pixels)
    seconds.append(time.perf_counter() - start)
    assert len(found) == 1
  return {'faces, images/s': 1 / statistics.median(seconds)}


def whole(folder):
  """Frames a second of what `aubal_jax predict` does with a clip."""
  from aubal_jax.media import crop
  from aubal_jax.media import images
  from aubal_jax.serving import clips
  from aubal_jax.serving import face_rows
  from aubal_jax.serving import inputs
  from aubal_jax.serving import seen

  run = _predict()
  run(np.zeros((BATCH, 112, 112, 1), np.uint8))
  crop.make_find('mtcnn')(portrait(240, 320, 0))
  reader = clips.Reader(
    [inputs.Item(inputs.CLIP, 'clip', str(folder / '640x480.mp4'))],
    seen.Seen(images.Pixels(112, 1, crop='mtcnn')),
    inputs.Pace(),
    detect_every=EVERY,
  )
  with tempfile.TemporaryDirectory() as place:
    start = time.perf_counter()
    face_rows.predict(
      *(pathlib.Path(place, 'rows'), reader, lambda batch: run(batch['image'])),
      batch_size=BATCH,
    )
    seconds = time.perf_counter() - start
  return {'whole, frames/s': FRAMES / seconds}


def step(folder):
  """Seconds of a step of the small two-stream network, in both forms."""
  del folder
  import jax

  from aubal_jax.network.models import time_convolution

  ours = _seconds_of_step()
  time_convolution.convolve = jax.lax.conv_general_dilated
  theirs = _seconds_of_step()
  return {
    'step of 8 clips, seconds': ours,
    "with XLA's 3-D convolution": theirs,
    'ratio': theirs / ours,
  }


def _seconds_of_step():
  """Returns the least seconds of a training step."""
  import bench_networks
  import jax

  from aubal_jax.network import step as step_lib

  rng = np.random.default_rng(0)
  seen = {
    'clip': rng.integers(0, 256, (8, 4, 48, 48, 4), np.uint8),
    'sound': rng.normal(size=(8, 64, 101)).astype(np.float32),
  }
  batch = bench_networks.make_batch(8, 8) | seen
  del batch['image']
  _, model, optimizer, run = bench_networks.make_ours('two_stream_small')
  first = {name: values[:1] for name, values in seen.items()}
  state = step_lib.create_state(model, optimizer, jax.random.key(0), first)
  state, seconds = run.place(state), []
  for _ in range(9):
    start = time.perf_counter()
    state, metrics = run.run(state, run.shard(batch))
    jax.device_get(metrics)
    seconds.append(time.perf_counter() - start)
  return min(seconds[1:])  # The first compiles.


def memory(folder):
  """MB that reading an hour takes, and how long."""
  from aubal_jax.media import sound
  from aubal_jax.media import spectrogram
  from aubal_jax.media import video

  start = time.perf_counter()
  frames = sum(1 for _ in video.frames(folder / 'hour.mkv'))
  power = spectrogram.power(sound.blocks(folder / 'hour.mkv'))
  assert (frames, len(power)) == (HOUR * FPS, 100 * HOUR + 1)
  return {
    'an hour, MB': _peak_megabytes(),
    'an hour of 64x48, seconds': time.perf_counter() - start,
  }


def _peak_megabytes():
  """Returns what this process held at most; nan outside Linux."""
  # getrusage would tell that of the process that started it, if higher.
  status = pathlib.Path('/proc/self/status')
  told = status.read_text() if status.exists() else ''
  found = re.search(r'VmHWM:\s*(\d+)', told)
  return int(found[1]) / 1024 if found else float('nan')


PARTS = {
  part.__name__: part
  for part in (decode, mel, faces, network, whole, step, memory)
}


def write_clips(folder, parts):
  """Writes what the parts read."""
  if {*parts} & {'decode', 'faces', 'whole'}:
    pictures = [portrait(480, 640, number) for number in range(FRAMES)]
    write(folder / '640x480.mp4', pictures)
    write(folder / '112x112.mp4', [p[100:212, 260:372] for p in pictures])
  if 'memory' in parts:
    tiny = [portrait(48, 64, number) for number in range(FPS)]
    write(folder / 'hour.mkv', tiny, 'mpeg4', HOUR)


def run(part, folder):
  """Returns what a part says, from a process of its own."""
  done = subprocess.run(
    [sys.executable, __file__, f'--parts={part}', f'--folder={folder}'],
    stdout=subprocess.PIPE,
    text=True,
    check=True,
  )
  return json.loads(done.stdout.splitlines()[-1])


def main():
  """Measures, and prints a table."""
  parser = argparse.ArgumentParser(
    description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
  )
  parser.add_argument('--parts', default=','.join(PARTS), help='with commas')
  parser.add_argument('--repeats', type=int, default=3)
  parser.add_argument('--json', help='file for the figures')
  parser.add_argument('--folder', help=argparse.SUPPRESS)  # Of a part.
  arguments = parser.parse_args()
  parts = arguments.parts.split(',')
  if arguments.folder:
    part = PARTS[parts[0]]
    print(json.dumps(part(pathlib.Path(arguments.folder))))
    return
  busy, rows = os.getloadavg()[0], {}
  if busy > 0.5:
    print(f'The machine is not idle (load {busy:.1f}).')
  print('| | median | least | most |\n|---|---|---|---|')
  with tempfile.TemporaryDirectory() as folder:
    write_clips(pathlib.Path(folder), parts)
    for part in parts:
      turns = [run(part, folder) for _ in range(arguments.repeats)]
      for name in turns[0]:
        values = [turn[name] for turn in turns]
        rows[name] = statistics.median(values), min(values), max(values)
        print('| {} | {:.4g} | {:.4g} | {:.4g} |'.format(name, *rows[name]))
  if arguments.json:
    content = {'rows': rows, 'load': busy}
    pathlib.Path(arguments.json).write_text(json.dumps(content, indent=1))


if __name__ == '__main__':
  main()
