"""Small clips, frame by frame and with a known sound, written by PyAV."""

import fractions
import pathlib
import wave

import numpy as np
from scipy import signal

# Suffix -> (picture codec, pixel format, sound codec), of what people have.
CODECS = {
  '.mp4': ('h264', 'yuv420p', 'aac'),
  '.mov': ('h264', 'yuv420p', 'aac'),
  '.avi': ('mpeg4', 'yuv420p', 'pcm_s16le'),
  '.mkv': ('ffv1', 'bgr0', 'flac'),
  '.webm': ('vp9', 'yuv420p', 'libopus'),
}
RATE = 44100
TICKS = 90000  # A second, of the times of frames.


def pictures(count, height=48, width=64, seed=0):
  """uint8[count, height, width, 3]: flat grounds, a bright square that moves.

  The square is left above, so that a turn is seen; the ground of frame i is
  grey of its own, so that its number can be read back.
  """
  rng = np.random.default_rng(seed)
  made = np.empty((count, height, width, 3), np.uint8)
  made[:] = grounds(count)[:, None, None, None]
  made[:, : height // 4, : width // 4] = rng.integers(
    [200, 0, 0], [256, 40, 40]
  )
  return made


def grounds(count):
  """uint8[count], the grey of each frame's ground."""
  return (32 + 12 * (np.arange(count) % 16)).astype(np.uint8)


def clicks(seconds, at, rate=RATE):
  """float32[n]: silence, and a tone of 1 kHz for .1 s from each time on."""
  count = round(seconds * rate)
  sound = np.zeros(count, np.float32)
  for start in at:
    first = round(start * rate)
    length = min(rate // 10, count - first)
    sound[first : first + length] = 0.5 * np.sin(
      2 * np.pi * 1000 / rate * np.arange(length)
    )
  return sound


def onset(sound, rate=RATE, level=0.1):
  """Seconds at which a sound is first louder than `level`."""
  return float(np.argmax(np.abs(sound) > level)) / rate


def write(
  path,
  frames,
  times=None,
  *,
  sound=None,
  sound_at=0.0,
  pause=None,
  rate=RATE,
  fps=30,
  rotation=0,
  mirrored=False,
):
  """Writes a clip; the suffix of its path says with what.

  Args:
    path: the file.
    frames: uint8[N, H, W, 3].
    times: float[N], seconds; None: at `fps`.
    sound: float32[n] or [channels, n]; None: no sound track.
    sound_at: seconds, when the sound begins.
    pause: (after how many seconds, for how many) the sound stops, and is not
      recorded; it is PCM then.
    rate: of the sound.
    fps: as the file says.
    rotation: degrees, counter-clockwise, by which a player turns the frames.
    mirrored: whether a player mirrors them, left and right, after that.
  """
  import av

  video_codec, pixel_format, sound_codec = CODECS[pathlib.Path(path).suffix]
  sound_codec = 'pcm_s16le' if pause else sound_codec
  times = np.arange(len(frames)) / fps if times is None else times
  with av.open(str(path), 'w') as container:
    track = container.add_stream(video_codec, rate=fps)
    track.height, track.width = frames.shape[1:3]
    track.pix_fmt = pixel_format
    if rotation or mirrored:
      track.set_display_rotation(rotation, hflip=mirrored)
    if not track.codec_context.codec.name.startswith('mpeg4'):
      track.codec_context.time_base = fractions.Fraction(1, TICKS)
    audio = None
    if sound is not None:
      sound, rate = _fitting(np.atleast_2d(sound), rate, sound_codec)
      audio = container.add_stream(
        sound_codec, rate=rate, layout=_layout(len(sound))
      )
    container.start_encoding()
    _write_frames(container, track, frames, times)
    if audio is not None:
      before = round(pause[0] * rate) if pause else sound.shape[1]
      _write_sound(container, audio, sound[:, :before], sound_at, rate)
      if pause:
        later = sound_at + sum(pause)
        _write_sound(container, audio, sound[:, before:], later, rate)
      container.mux(audio.encode(None))


def write_sound_only(path, sound, rate=RATE):
  """Writes a clip that has no pictures."""
  import av

  with av.open(str(path), 'w') as container:
    codec = CODECS[pathlib.Path(path).suffix][2]
    sound, rate = _fitting(np.atleast_2d(sound), rate, codec)
    audio = container.add_stream(codec, rate=rate, layout=_layout(len(sound)))
    _write_sound(container, audio, sound, 0.0, rate)
    container.mux(audio.encode(None))


def write_record(path, sound, cover):
  """Writes sound with a picture to show beside it, uint8[1, H, W, 3]."""
  import av

  with av.open(str(path), 'w') as container:
    audio = container.add_stream('aac', rate=RATE, layout='mono')
    track = container.add_stream('mjpeg', rate=1)
    track.height, track.width = cover.shape[1:3]
    track.pix_fmt = 'yuvj420p'
    track.disposition = av.stream.Disposition.attached_pic
    _write_frames(container, track, cover, [0.0])
    _write_sound(container, audio, sound[None], 0.0, RATE)
    container.mux(audio.encode(None))


def write_forms(path, parts, rate=RATE):
  """Writes sound whose number of channels changes on the way, as MP2.

  Args:
    path: the file, Matroska.
    parts: float32[channels, n] of 1 or 2 channels each.
    rate: samples a second.
  """
  import av

  ticks, start = fractions.Fraction(1, rate), 0
  with av.open(str(path), 'w') as container:
    track = container.add_stream(
      'mp2', rate=rate, layout=_layout(len(parts[0]))
    )
    container.start_encoding()
    for part in parts:
      codec = av.CodecContext.create('mp2', 'w')
      codec.sample_rate, codec.format = rate, 's16'
      codec.layout = _layout(len(part))
      values = np.round(part.T.reshape(1, -1) * 32767).astype(np.int16)
      frame = av.AudioFrame.from_ndarray(values, 's16', _layout(len(part)))
      frame.sample_rate, frame.pts, frame.time_base = rate, 0, ticks
      for packet in [*codec.encode(frame), *codec.encode(None)]:
        packet.stream, packet.time_base = track, ticks
        packet.pts = packet.dts = start
        start += 1152
        container.mux(packet)


def write_sizes(path, pieces, fps=30):
  """Writes a clip whose frames change their size on the way, as JPEGs.

  Args:
    path: the file, AVI or Matroska.
    pieces: arrays uint8[N, H, W, 3], each of a size of its own.
    fps: frames a second.
  """
  import av

  ticks = fractions.Fraction(1, fps)
  with av.open(str(path), 'w') as container:
    track = container.add_stream('mjpeg', rate=fps)
    track.height, track.width = pieces[0].shape[1:3]
    track.pix_fmt = 'yuvj444p'
    container.start_encoding()
    for number, pixels in enumerate(p for piece in pieces for p in piece):
      codec = av.CodecContext.create('mjpeg', 'w')
      codec.height, codec.width = pixels.shape[:2]
      codec.pix_fmt, codec.time_base = 'yuvj444p', ticks
      codec.qmin = codec.qmax = 2
      frame = av.VideoFrame.from_ndarray(pixels, format='rgb24')
      frame.pts, frame.time_base = number, ticks
      for packet in [*codec.encode(frame), *codec.encode(None)]:
        packet.stream, packet.pts, packet.dts = track, number, number
        packet.time_base = ticks
        container.mux(packet)


def write_long(path, seconds, sound=None, height=48, width=64):
  """Writes a clip of any length fast: one second of it, again and again.

  Args:
    path: the file, MP4 or Matroska.
    seconds: whole ones.
    sound: float32[44100], of each second; None: no sound track.
    height: of its frames.
    width: of its frames.
  """
  import av

  with av.open(str(path), 'w') as container:
    track = container.add_stream('mpeg4', rate=30)
    track.height, track.width, track.pix_fmt = height, width, 'yuv420p'
    audio = None
    if sound is not None:
      audio = container.add_stream('flac', rate=RATE, layout='mono')
    container.start_encoding()
    second = _packets(track, pictures(30, height, width))
    for start in range(seconds):
      for pts, content in second:
        packet = av.Packet(content)
        packet.stream, packet.time_base = track, fractions.Fraction(1, 30)
        packet.pts = packet.dts = start * 30 + pts
        packet.is_keyframe = not pts
        container.mux(packet)
      if audio is not None:
        _write_sound(container, audio, sound[None], start, RATE)
    if audio is not None:
      container.mux(audio.encode(None))


def _packets(track, frames):
  """[(number, bytes)] of frames."""
  import av

  found = []
  for number, pixels in enumerate(frames):
    frame = av.VideoFrame.from_ndarray(pixels, format='rgb24')
    frame.pts, frame.time_base = number, fractions.Fraction(1, 30)
    found += [(p.pts, bytes(p)) for p in track.encode(frame)]
  return found


def write_wav(path, sound, rate=RATE):
  """Writes float[n] or [channels, n] as 16-bit PCM."""
  values = np.round(np.atleast_2d(sound) * 32767).astype('<i2')
  with wave.open(str(path), 'wb') as file:
    file.setnchannels(len(values))
    file.setsampwidth(2)
    file.setframerate(rate)
    file.writeframes(values.T.tobytes())


def _fitting(sound, rate, codec):
  """Returns a sound and its rate, so that the codec takes it."""
  if codec != 'libopus' or rate == 48000:
    return sound, rate
  return signal.resample_poly(sound, 48000, rate, axis=1), 48000


def _layout(channels):
  return {1: 'mono', 2: 'stereo', 6: '5.1', 8: '7.1', 16: 'hexadecagonal'}[
    channels
  ]


def _write_frames(container, track, frames, times):
  import av

  ticks = track.codec_context.time_base or fractions.Fraction(1, 30)
  for pixels, time in zip(frames, times, strict=True):
    frame = av.VideoFrame.from_ndarray(pixels, format='rgb24')
    frame.pts, frame.time_base = round(time / ticks), ticks
    container.mux(track.encode(frame))
  container.mux(track.encode(None))


def _write_sound(container, track, sound, start, rate):
  import av

  for first in range(0, sound.shape[1], 1024):
    piece = sound[:, first : first + 1024].T.reshape(1, -1)
    frame = av.AudioFrame.from_ndarray(
      np.ascontiguousarray(piece, np.float32), 'flt', _layout(len(sound))
    )
    frame.sample_rate = rate
    frame.time_base = fractions.Fraction(1, rate)
    frame.pts = round(start * rate) + first
    container.mux(track.encode(frame))
