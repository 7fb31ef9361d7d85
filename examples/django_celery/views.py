"""Views that submit a song and receive its webhook; Celery downloads the stems.

cd examples/django_celery && django-admin runserver 9000 --settings settings --pythonpath .
"""

from django.core.files.uploadedfile import UploadedFile
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import path
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST

from aistemsplitter import AiStemSplitter, AiStemSplitterError, InvalidWebhook
from tasks import fetch_stems

client = AiStemSplitter()  # safe to share between threads


@csrf_exempt
@require_POST
def submit(request: HttpRequest) -> HttpResponse:
    """Submit the uploaded file in the form field ``song``."""
    song = request.FILES.get("song")
    if not isinstance(song, UploadedFile):
        return JsonResponse({"error": "no song"}, status=400)
    try:
        job = client.create_split(
            song.chunks(),
            filename=song.name,
            webhook_url=request.build_absolute_uri("/webhooks"),
            metadata={"user": request.POST.get("user", "")},
        )
    except AiStemSplitterError as problem:
        return JsonResponse({"error": problem.message}, status=502)
    return JsonResponse({"id": job.id}, status=202)


@csrf_exempt  # the signature takes its place
@require_POST
def receive(request: HttpRequest) -> HttpResponse:
    """Verify the delivery and answer at once. A repeated delivery downloads nothing again."""
    try:
        event = client.verify_webhook(request.headers, request.body)
    except InvalidWebhook as problem:
        return HttpResponse(str(problem), status=400)
    if event.type == "split.succeeded":
        fetch_stems.delay(event.data.id)
    return HttpResponse(status=204)


urlpatterns = [path("submit", submit), path("webhooks", receive)]
