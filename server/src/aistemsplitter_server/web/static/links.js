// Sites whose links lead to a page with a player or a viewer, and never to an audio file.

/** Names by host; a host stands for its subdomains too. */
const SITES = {
  "youtube.com": "YouTube",
  "youtu.be": "YouTube",
  "youtube-nocookie.com": "YouTube",
  "drive.google.com": "Google Drive",
  "docs.google.com": "Google Drive",
  "spotify.com": "Spotify",
  "spotify.link": "Spotify",
  "soundcloud.com": "SoundCloud",
  "music.apple.com": "Apple Music",
  "music.amazon.com": "Amazon Music",
  "deezer.com": "Deezer",
  "tidal.com": "TIDAL",
  "bandcamp.com": "Bandcamp",
  "vimeo.com": "Vimeo",
  "tiktok.com": "TikTok",
  "instagram.com": "Instagram",
  "facebook.com": "Facebook",
  "bilibili.com": "Bilibili",
};

/** The site's name if the link leads to a page of one of these, otherwise null. */
export function siteOf(url) {
  const { hostname } = new URL(url);
  const labels = hostname.toLowerCase().split(".");
  for (let at = 0; at < labels.length; at += 1) {
    const site = SITES[labels.slice(at).join(".")];
    if (site) return site;
  }
  return null;
}
