from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('notifications', '0003_one_index_a_feed'),
    ]

    operations = [
        migrations.AddField(
            model_name='feed',
            name='confirmed_at',
            field=models.DateTimeField(blank=True, help_text='When that number was written down.', null=True, verbose_name='confirmed (UTC)'),
        ),
    ]
